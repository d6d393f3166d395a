"""Coverage of the samples and of uniform draws, on independent clusterings.

Every clustering has its own hash sample of the pool, its own seed and its own uniform draw, so that
their spread is what the verdict has to allow for.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F
from threadpoolctl import threadpool_limits

from jobs.points.hash_sample import sample_rows, vectors_of
from jobs.reporting.node_rows import sample_size
from jobs.reporting.rows import Row, figure_rows
from jobs.runs.run import Run
from jobs.spark.host import n_threads
from udfs.kernels.coverage import IndependentNodes, cluster_independently, measure_coverage
from udfs.kernels.hashing import derive_seed
from udfs.kernels.measures import effective_number

N_CLUSTERINGS = 3
EVALUATED_ROWS = 10_000  # hash sample of the pool that one clustering looks at
MAX_COMPARED = 50_000  # sampled points that coverage compares with, by hash when more

Figures = dict[str, float]


def coverage_rows(this: Run) -> list[Row]:
    """Measure every sample and its uniform controls."""
    sizes = {s.name: min(sample_size(this, s.name), MAX_COMPARED) for s in this.config.samples}
    sampled = {name: _sampled(this, name, size) for name, size in sizes.items()}
    nodes, uniform = _clusterings(this, max(sizes.values()))
    counts = [np.bincount(n.labels, minlength=n.n_nodes) for n in nodes]
    pool = {
        "n_nodes": float(np.mean([n.n_nodes for n in nodes])),
        "n_clusterings": float(len(nodes)),
        "effective_nodes": float(np.mean([effective_number(c) for c in counts])),
    }
    rows = figure_rows("coverage", None, pool)
    for name, points in sampled.items():
        mine = [_measured(this, n, points) for n in nodes]
        theirs = [
            _measured(this, n, draw[: len(points)]) for n, draw in zip(nodes, uniform, strict=True)
        ]
        rows += compared_rows(name, mine, theirs)
    return rows


def compared_rows(name: str, mine: Sequence[Figures], theirs: Sequence[Figures]) -> list[Row]:
    """Return the means over the clusterings, each clustering's own, and the gap with its error.

    ``coverage_gap`` is the sample's coverage distance less the control's, in controls;
    ``coverage_gap_error`` the standard error of its mean over the clusterings.
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


def _clusterings(
    this: Run, n_drawn: int
) -> tuple[list[IndependentNodes], list[NDArray[np.float32]]]:
    """Return the independent clusterings, and beside each a uniform draw."""
    wanted = [
        pair
        for i in range(N_CLUSTERINGS)
        for pair in ((f"report.evaluated.{i}", EVALUATED_ROWS), (f"report.uniform.{i}", n_drawn))
    ]
    embeddings = this.lake.read("embeddings", this.keys["embed_pool"]).select("id", "embedding")
    n_points = int(this.figures("embed_pool")["n_points"])
    tables = sample_rows(embeddings, wanted, n_points, seed=this.config.seed)
    unit = this.figures("cluster_levels")["grid_unit"]
    with threadpool_limits(1):
        nodes = [
            cluster_independently(
                vectors_of(table, unit),
                seed=derive_seed(this.config.seed, 1, i),
                n_threads=n_threads(),
            )
            for i, table in enumerate(tables[::2])
        ]
    return nodes, [vectors_of(table, unit) for table in tables[1::2]]


def _sampled(this: Run, name: str, size: int) -> NDArray[np.float32]:
    """Return a sample's vectors, or a hash sample of them where they are many."""
    drawn = this.lake.read("samples", this.keys["balance_sample"])
    ids = drawn.where((F.col("sample") == name) & (F.col("replica") == 0)).select("id")
    embeddings = this.lake.read("embeddings", this.keys["embed_pool"]).select("id", "embedding")
    mine = embeddings.join(ids, on="id", how="leftsemi")
    n_all = sample_size(this, name)
    (table,) = sample_rows(mine, [("report.compared", size)], n_all, seed=this.config.seed)
    return vectors_of(table, this.figures("cluster_levels")["grid_unit"])


def _measured(this: Run, nodes: IndependentNodes, sampled: NDArray[np.float32]) -> Figures:
    with threadpool_limits(1):
        figures = measure_coverage(nodes, sampled, n_threads=n_threads())
    unit = this.figures("cluster_levels")["grid_unit"]
    return figures | {"coverage_distance": figures["coverage_distance"] * unit}
