"""Cluster the pool level by level into a tree whose leaves spread evenly over its concepts.

Reads    embeddings
Writes   nodes: the tree; routing: the cells of a split level; assignments: every point's leaf and
         path; iterations; blocks: the packed points, where Spark solves level 1 unsplit
Method   hierarchical k-means with resampling, arXiv 2405.15613, on the exact grid of
         ``udfs.kernels.grid``
Run      evenlake cluster --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.utils import is_remote
from threadpoolctl import threadpool_limits

from jobs.cli.command import job_main
from jobs.clustering.level import Level
from jobs.clustering.sizes import is_local, is_routed
from jobs.clustering.spark_blocks import SparkBlocks
from jobs.clustering.spark_points import SparkPoints
from jobs.clustering.tree import grow_tree, leaf_paths
from jobs.clustering.tree_rows import nodes_table, routing_table
from jobs.config.model import RunConfig
from jobs.runs.checkpoints import Checkpoints
from jobs.runs.events import Metrics
from jobs.runs.run import Run, open_run
from jobs.spark.frames import as_frame
from jobs.spark.host import n_threads
from jobs.spark.session import n_slots
from udfs.assign import ASSIGN_SCHEMA, assigned, make_assign, shipped_leaves
from udfs.kernels.grid import grid_unit, join_limbs
from udfs.kernels.iterations import Iteration
from udfs.kernels.nearest import Centroids
from udfs.kernels.routing import leaf_finder
from udfs.kernels.sources import BlockSource, CellSource
from udfs.points import LocalPoints, PointReader

STAGE = "cluster_levels"


def assign_points(
    this: Run, pool: SparkPoints, source: BlockSource | CellSource, levels: list[Level]
) -> DataFrame:
    """Label every point with its leaf and path: columns of ``assignments``."""
    leaves, routing, paths = levels[0].centroids, levels[0].routing, leaf_paths(levels)
    id_type = pool.embeddings.schema["id"].dataType.simpleString()
    schema = ASSIGN_SCHEMA.format(id=id_type)
    if isinstance(source, LocalPoints) and not is_remote():  # Connect would send them in the plan
        with threadpool_limits(1):
            table = assigned(source, partial(leaf_finder, Centroids(leaves), routing), paths)
        rows = this.spark.createDataFrame(table, schema).coalesce(n_slots(this.spark))
    else:
        rows, cells = pool.embeddings, None
        if routing:
            cells = (this.ship(routing.cells.vectors), routing.starts)
            if is_routed(*leaves.shape):
                rows = pool.by_cell(cells[0], routing.n_points(levels[0].n_points))
        begin = partial(shipped_leaves, this.ship(leaves), cells)
        read = PointReader(pool.unit, pool.n_features)
        rows = rows.mapInArrow(make_assign(read, begin, this.ship(paths)), schema)
    return rows.withColumn("sq_distance", F.col("sq_distance") * F.lit(pool.unit**2))


def run(spark: SparkSession, config: RunConfig, *, within: Run | None = None) -> Metrics:
    """Cluster the pool, or reuse the tree that is there.

    Raises
    ------
    ConfigError
        If a level asks for more clusters than it has distinct inputs.
    """
    this = within or open_run(spark, config)
    this.settle()
    embedded = this.figures("embed_pool")
    return this.stage(STAGE, lambda: _cluster(this, embedded))


def _cluster(this: Run, embedded: Metrics) -> Metrics:
    unit = grid_unit(embedded["largest_norm"])
    pool = SparkPoints(
        this.lake.read("embeddings", this.keys["embed_pool"]).select("id", "embedding"),
        n_rows=int(embedded["n_points"]),
        n_features=int(embedded["n_features"]),
        unit=unit,
        seed=this.config.seed,
    )
    log = _IterationLog(this, unit)
    interval = this.config.cluster.checkpoint_interval
    kept = Checkpoints(this, STAGE, interval=interval, gathered=lambda: log.seen)
    log.seen += [tuple(row) for row in kept.resumed or []]
    # 1. bring the points to where they are solved
    source = _source(this, pool)
    # 2. grow the tree over them
    try:
        with threadpool_limits(1):  # the threads are the solver's own
            levels = grow_tree(
                source,
                this.config.cluster,
                seed=this.config.seed,
                n_threads=n_threads(),
                on_iteration=log,
                journal=kept.journal(),
            )
    finally:
        source.release()
    # 3. write the tree, and every point's place in it
    assignments = assign_points(this, pool, source, levels)
    this.write_all({"assignments": assignments} | _tables(this, levels, unit, log), STAGE)
    return _figures(levels, this.config) | {
        "n_blocks": pool.n_blocks,
        "grid_unit": unit,
        "inertia": join_limbs(levels[0].inertia.sum(axis=0)) * unit**2,
    }


def _source(this: Run, pool: SparkPoints) -> BlockSource | CellSource:
    """Return the pool to the solver that the config, or the pool's size, asks for."""
    if is_local(this.config.cluster, pool.n_bytes):
        return pool.fetch()
    if this.config.cluster.cells_at(1):
        return pool
    this.write("blocks", pool.pack(), STAGE)
    blocks = this.lake.read("blocks", this.keys[STAGE])
    return SparkBlocks(
        blocks, n_rows=pool.n_rows, n_features=pool.n_features, n_blocks=pool.n_blocks
    )


def _tables(
    this: Run, levels: list[Level], unit: float, log: "_IterationLog"
) -> dict[str, DataFrame]:
    """Return what describes the tree, by table."""
    spark, routing = this.spark, routing_table(levels, unit=unit)
    tables = {"nodes": spark.createDataFrame(nodes_table(levels, unit=unit))}
    if routing is not None:
        tables["routing"] = spark.createDataFrame(routing)
    return tables | {"iterations": log.rows()}


def _figures(levels: list[Level], config: RunConfig) -> Metrics:
    figures: Metrics = {}
    for t, (level, asked) in enumerate(zip(levels, config.cluster.levels, strict=True), start=1):
        figures[f"n_nodes_{t}"] = len(level.centroids)
        figures[f"n_empty_{t}"] = asked - len(level.centroids)
    return figures


class _IterationLog:
    """Collects the rows of ``iterations`` and shows each as it comes."""

    def __init__(self, this: Run, unit: float) -> None:
        self.this, self.unit = this, unit
        self.seen: list[tuple[object, ...]] = []

    def __call__(self, level: int, round_: int, solver: str, it: Iteration) -> None:
        inertia = float(it.objective) * self.unit**2
        figures = (it.n_rows, inertia, it.moved, it.n_empty, it.seconds)
        self.seen.append((level, round_, it.iteration, it.algorithm, solver, *figures))
        config = self.this.config.cluster
        self.this.progress.update(
            level - 1 + round_ / (config.rounds_at(level) + 1),
            len(config.levels),
            level=level,
            round=round_,
            iter=it.iteration,
            inertia=inertia,
            moved=it.moved,
            empty=it.n_empty,
        )

    def rows(self) -> DataFrame:
        """Return them as a DataFrame."""
        names = (
            "level int, round int, iteration int, algorithm string, solver string, n_rows bigint, "
            "inertia double, moved double, n_empty bigint, seconds double"
        )
        return as_frame(self.this.spark, self.seen, names)


def main(argv: Sequence[str] | None = None) -> int:
    """Cluster the pool into a tree."""
    return job_main(run, argv, name="cluster")


if __name__ == "__main__":
    sys.exit(main())
