"""Figures that speak for samples or against them, each next to that of a uniform draw."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from jobs.advice.judge import judge_rows
from jobs.outliers.scatter import scatter_rows
from jobs.points.hash_sample import vectors_of
from jobs.reporting.coverage_rows import Judges, coverage_rows
from jobs.reporting.rows import Row
from jobs.runs.run import Run


def judges_of(drawn: Sequence[pa.Table], seed: int, unit: float) -> Judges:
    """Return judges made of hash samples of the pool, which alternate with uniform draws.

    Parameters
    ----------
    unit : grid unit of the vectors
    """
    vectors = [vectors_of(table, unit) for table in drawn]
    return Judges(vectors[::2], vectors[1::2], seed, unit)


def evidence_rows(
    run: Run, samples: Mapping[str, pa.Table], drawn: Sequence[pa.Table], judges: Judges
) -> list[Row]:
    """Measure coverage and scatter, and coverage in the second embedding if there is one.

    Parameters
    ----------
    samples : sample -> its points : id, embedding
    drawn : hash samples of the pool that judge, alternating with uniform draws
    judges : the judges made of them
    """
    sampled = {name: vectors_of(table, judges.unit) for name, table in samples.items()}
    rows = coverage_rows(sampled, judges)
    rows += scatter_rows(run, judges.evaluated[0], sampled, judges.unit)
    if (judge := run.config.report.judge) is not None:
        rows += judge_rows(run, judge, samples, drawn)
    return rows
