"""Coverage of the samples and of uniform draws, on independent clusterings.

Every clustering has its own hash sample of the pool, its own seed and its own uniform draw, so
their spread is the uncertainty that the verdict has to allow for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.reporting.rows import Row, figure_rows
from jobs.spark.host import n_threads
from udfs.kernels.exact.hashing import derive_seed
from udfs.kernels.judging.coverage import IndependentNodes, cluster_independently, measure_coverage
from udfs.kernels.judging.measures import effective_number

N_CLUSTERINGS = 3
EVALUATED_ROWS = 10_000  # rows of the hash sample of the pool that one clustering uses
MAX_COMPARED = 50_000  # sampled points used for coverage; a hash sample of them if there are more

Figures = dict[str, float]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Judges:
    """The points that samples are judged by.

    Attributes
    ----------
    evaluated : (n, d) each, the vectors of independent hash samples of the pool
    uniform : (m, d) each, the same number of independent uniform draws
    seed : of the clusterings
    unit : of the vectors' grid
    """

    evaluated: Sequence[Vectors]
    uniform: Sequence[Vectors]
    seed: int
    unit: float


def wanted_samples(n_drawn: int) -> list[tuple[str, int]]:
    """Return the hash samples that judges need, as (salt, n_rows), alternating between the two."""
    return [
        pair
        for i in range(N_CLUSTERINGS)
        for pair in ((f"report.evaluated.{i}", EVALUATED_ROWS), (f"report.uniform.{i}", n_drawn))
    ]


def coverage_rows(sampled: Mapping[str, Vectors], judges: Judges) -> list[Row]:
    """Measure every sample and its uniform controls.

    Parameters
    ----------
    sampled : sample -> its vectors, or a hash sample of them
    """
    with threadpool_limits(1):
        nodes = [
            cluster_independently(X, seed=derive_seed(judges.seed, 1, i), n_threads=n_threads())
            for i, X in enumerate(judges.evaluated)
        ]
    counts = [np.bincount(n.labels, minlength=n.n_nodes) for n in nodes]
    pool = {
        "n_nodes": float(np.mean([n.n_nodes for n in nodes])),
        "n_clusterings": float(len(nodes)),
        "effective_nodes": float(np.mean([effective_number(c) for c in counts])),
    }
    rows = figure_rows("coverage", None, pool)
    for name, points in sampled.items():
        mine = [_measured(n, points, judges.unit) for n in nodes]
        theirs = [
            _measured(n, draw[: len(points)], judges.unit)
            for n, draw in zip(nodes, judges.uniform, strict=True)
        ]
        rows += compared_rows(name, mine, theirs)
    return rows


def compared_rows(name: str, mine: Sequence[Figures], theirs: Sequence[Figures]) -> list[Row]:
    """Return the means over the clusterings, each clustering's own, and the gap with its error.

    ``coverage_gap`` is the sample's coverage distance minus the control's, relative to the control;
    ``coverage_gap_error`` is the standard error of its mean over the clusterings.
    """
    rows: list[Row] = []
    for metric in mine[0]:
        value, control = (float(np.mean([f[metric] for f in each])) for each in (mine, theirs))
        rows.append(Row(name, "coverage", None, None, None, metric, value, control))
        rows += [
            Row(name, "coverage", None, f"clustering {i}", None, metric, a[metric], b[metric])
            for i, (a, b) in enumerate(zip(mine, theirs, strict=True), start=1)
        ]
    key = "coverage_distance"
    gaps = [
        (a[key] - b[key]) / b[key] if b[key] else 0.0 for a, b in zip(mine, theirs, strict=True)
    ]
    error = float(np.std(gaps, ddof=1)) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    gap = {"coverage_gap": float(np.mean(gaps)), "coverage_gap_error": error}
    return rows + figure_rows("coverage", name, gap)


def _measured(nodes: IndependentNodes, sampled: Vectors, unit: float) -> Figures:
    with threadpool_limits(1):
        figures = measure_coverage(nodes, sampled, n_threads=n_threads())
    return figures | {"coverage_distance": figures["coverage_distance"] * unit}
