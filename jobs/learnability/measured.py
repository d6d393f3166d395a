"""What a round did: exact means, figures of a hash sample, its cost, and the report's rows."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import InputError
from jobs.learnability import classified
from jobs.learnability.draws import CRITERIA
from jobs.learnability.losses import Judged
from jobs.learnability.worth import Compute, Scored, Worth, as_figures, compute_of, worth_of
from jobs.points.hash_sample import sample_rows
from jobs.reporting.rows import Row, figure_rows, report_table
from jobs.runs.work import Work
from jobs.sections.learnability import LearnabilityConfig
from jobs.spark.frames import as_table
from jobs.tables.shared import ARTIFACTS, REJECTS, REPORT, artifact
from jobs.tables.table import GENERATION, Table

SECTION = "learnability"
SAMPLED_ROWS = 20_000  # rows for figures other than means
_LARGEST = 1e20  # of a score that counts in a mean
_BINS = 40
_SHOWN = (0.005, 0.995)  # quantiles between which the report shows scores


LEARNABILITY = Table(
    "learnability",
    "round INT, id {id}, super_batch BIGINT, node_id BIGINT DEFAULT NULL, loss_online DOUBLE, "
    "loss_reference DOUBLE, hard DOUBLE, easy_reference DOUBLE, learnability DOUBLE, key DOUBLE, "
    f"is_selected BOOLEAN, {GENERATION}",
)
_LEDGER = (
    "round int, n_scored bigint, n_trained bigint, gflop_score double, gflop_train double, "
    "gflop_uniform double"
)
COMPUTE_LEDGER = Table("compute_ledger", _LEDGER.replace("double", "DOUBLE DEFAULT NULL"))


class Means(NamedTuple):
    """Counts, and the mean of each criterion, over all rows and over those drawn."""

    n_scored: int
    n_selected: int
    of_all: Mapping[str, float]
    of_selected: Mapping[str, float]


def means_of(rows: DataFrame) -> Means:
    """Count and average a round's rows, exactly, whatever their order."""
    wanted = [F.count("*").alias("n")]
    for name in CRITERIA:
        bounded = F.least(F.greatest(F.col(name), F.lit(-_LARGEST)), F.lit(_LARGEST))
        wanted.append(F.sum(bounded.cast("decimal(38,12)")).alias(name))
    found = {row.is_selected: row for row in rows.groupBy("is_selected").agg(*wanted).collect()}
    n = {which: row.n for which, row in found.items()}
    sums = {which: {c: row[c] for c in CRITERIA} for which, row in found.items()}
    n_all = sum(n.values())
    return Means(
        n_all,
        n.get(True, 0),
        {c: float(sum(s[c] for s in sums.values())) / max(1, n_all) for c in CRITERIA},
        {c: float(sums[True][c]) / n[True] if True in n else 0.0 for c in CRITERIA},
    )


def worth_in(sample: pa.Table, keep: float) -> Worth | None:
    """Return what the scores are worth, by a sample's half_a and half_b; None without these."""
    halves = [sample[f"loss_{name}"] for name in ("half_a", "half_b")]
    if not sample.num_rows or any(half.null_count for half in halves):
        return None
    online, a, b = (column.to_numpy() for column in (sample["loss_online"], *halves))
    return worth_of(online, a, b, keep)


def report_rows(
    given: LearnabilityConfig, means: Means, sample: pa.Table, compute: Compute, worth: Worth | None
) -> list[Row]:
    """Return the round's rows of ``report``; the control is a uniform draw's expectation."""
    key = str(given.round)

    def keyed(
        figures: Mapping[str, float], control: Mapping[str, float] | None = None
    ) -> list[Row]:
        rows = figure_rows(SECTION, given.source, figures, control=control)
        return [row._replace(key=key) for row in rows]

    drawn = {f"mean_{name}": value for name, value in means.of_selected.items()}
    rows = keyed({"n_scored": means.n_scored, "n_selected": means.n_selected})
    rows += keyed(drawn, {f"mean_{name}": value for name, value in means.of_all.items()})
    rows += keyed({} if worth is None else worth._asdict())
    rows += keyed({f"gflop_{k}": v for k, v in compute._asdict().items() if v is not None})
    score = sample["learnability"].to_numpy()
    is_drawn = sample["is_selected"].to_numpy(zero_copy_only=False)
    low, high = np.quantile(score, _SHOWN).tolist() if len(score) else (0.0, 0.0)
    if low < high:
        edges = np.linspace(low, high, _BINS + 1)
        of_drawn, of_all = (
            np.histogram(np.clip(chosen, low, high), edges)[0] / max(1, len(chosen))
            for chosen in (score[is_drawn], score)
        )
        rows += [
            Row(given.source, SECTION, None, key, float(x), "share_of_rows", float(a), float(b))
            for x, a, b in zip((edges[1:] + edges[:-1]) / 2, of_drawn, of_all, strict=True)
        ]
    return rows


def measured(this: Work, losses: Judged, fit: DataFrame, n_rejected: int) -> Scored:
    """Write the report's rows, the ledger and what classifiers have learned."""
    given = this.config.learnability
    written = this.lake.read(LEARNABILITY, this.key)
    means = means_of(written)
    if means.n_selected == 0:
        raise InputError(
            f"learnability.keep={given.keep:g} of {means.n_scored} rows, by super-batch and node, "
            "is not one row; raise it"
        )
    halves = fit.select("id", "loss_half_a", "loss_half_b")
    wanted = [("learnability.report", SAMPLED_ROWS)]
    (of_rows,) = sample_rows(written, wanted, means.n_scored, seed=this.config.seed)
    (of_halves,) = sample_rows(halves, wanted, means.n_scored, seed=this.config.seed)
    sample = of_rows
    for name in ("loss_half_a", "loss_half_b"):  # the same ids, in the same order
        sample = sample.append_column(name, of_halves[name])
    worth = worth_in(sample, given.keep)
    compute = compute_of(losses.cost, given.round, means.n_scored, means.n_selected)
    rows = report_rows(given, means, sample, compute, worth)
    ledger = as_table([(given.round, means.n_scored, means.n_selected, *compute)], _LEDGER)
    outputs = {REPORT: report_table(rows, this.run.run_id), COMPUTE_LEDGER: ledger}
    if losses.models is not None and given.classifier is not None:
        selected = written.where("is_selected")
        content = classified.learned_from(this, given.classifier, losses.models, fit, selected)
        outputs[ARTIFACTS] = artifact(classified.ARTIFACT, "application/x-npz", content)
    this.write_all(outputs)
    return Scored(
        n_scored=means.n_scored,
        n_selected=means.n_selected,
        n_rejected=n_rejected,
        mean_learnability=means.of_all["learnability"],
        mean_selected=means.of_selected["learnability"],
        worth=dict(as_figures(worth)),
        gflop={k: v for k, v in compute._asdict().items() if v is not None},
        rejects=_reasons(this) if n_rejected else {},
    )


def _reasons(this: Work) -> dict[str, int]:
    rejected = this.lake.read(REJECTS, this.key).groupBy("reason").count().collect()
    return {row.reason: row["count"] for row in rejected}
