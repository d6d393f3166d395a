"""Cluster the pool level by level into a tree whose leaves spread evenly over its concepts.

Reads    the surviving points
Writes   nodes: the tree; routing: the cells of a split level; assignments: every point's leaf and
         path; iterations; blocks: the packed points, if Spark solves level 1 unsplit
Method   hierarchical k-means with resampling, arXiv 2405.15613, on the exact grid of
         ``udfs.kernels.exact.grid``
Run      evenlake cluster --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import or_

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.utils import is_remote
from threadpoolctl import threadpool_limits

from jobs import embed_pool
from jobs.clustering.level import Level
from jobs.clustering.sizes import is_local, is_routed
from jobs.clustering.spark_blocks import SparkBlocks
from jobs.clustering.spark_points import SparkPoints
from jobs.clustering.tree import grow_tree
from jobs.clustering.tree_rows import nodes_table, routing_table
from jobs.config.model import RunConfig
from jobs.planning import costs
from jobs.points.landing import routed, within_grid
from jobs.points.surviving import held, release, size_of, surviving
from jobs.pool.ids import Id, is_id
from jobs.reporting.node_rows import tree_rows
from jobs.reporting.rows import Row
from jobs.runs.checkpoints import CHECKPOINTS, Checkpoints
from jobs.runs.explanation import Explanation, Node
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome, per
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Rows, Work
from jobs.spark.frames import as_table
from jobs.spark.host import n_threads
from jobs.tables.levels import leaf_paths
from jobs.tables.table import GENERATION, Table
from udfs.assign import ASSIGN_SCHEMA, assigned, make_assign, shipped_leaves
from udfs.kernels.cells.routing import leaf_finder
from udfs.kernels.exact.grid import grid_unit, join_limbs
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import Iteration
from udfs.kernels.passes.sources import BlockSource, CellSource
from udfs.points import LocalPoints, PointReader

NODES = Table(
    "nodes",
    "level INT, node_id BIGINT, parent_id BIGINT, n_children BIGINT, n_leaves BIGINT, "
    f"n_points BIGINT, inertia DOUBLE, radius FLOAT, {GENERATION}, centroid ARRAY<FLOAT>",
)
ROUTING = Table("routing", "level INT, cell_id INT, leaf_ids ARRAY<BIGINT>, centroid ARRAY<FLOAT>")
ASSIGNMENTS = Table(
    "assignments",
    f"id {{id}}, leaf_id BIGINT, path ARRAY<BIGINT>, sq_distance DOUBLE, {GENERATION}",
)
_ITERATION = (
    "level int, round int, iteration int, algorithm string, solver string, n_rows bigint, "
    "inertia double, moved double, n_empty bigint, seconds double"
)
ITERATIONS = Table("iterations", _ITERATION, not_content=("seconds",))
BLOCKS = Table(
    "blocks",
    "block_id INT, n_rows INT, vectors BINARY",
    # they derive from the embeddings, which are hashed already
    not_content=("vectors",),
    # packed floats do not compress; this is the only Parquet option that Delta passes on
    writer_options=(("compression", "none"),),
)


@dataclass(frozen=True, kw_only=True)
class Clustered(Outcome):
    """The tree that was grown.

    Attributes
    ----------
    n_nodes : per level, leaves first
    n_empty : per level, requested clusters that have no members
    grid_unit : grid unit of the vectors
    inertia : inertia of level 1
    """

    n_nodes: tuple[int, ...] = per("n_nodes_{}")
    n_empty: tuple[int, ...] = per("n_empty_{}")
    n_blocks: int
    grid_unit: float
    inertia: float


def assign_points(
    this: Work, pool: SparkPoints, source: BlockSource | CellSource, levels: list[Level]
) -> Rows:
    """Label every point with its leaf and path: columns of ``assignments``."""
    leaves, routing = levels[0].centroids, levels[0].routing
    paths = leaf_paths([level.parents for level in levels])
    if isinstance(source, LocalPoints) and not is_remote():  # Connect would send them in the plan
        with threadpool_limits(1):
            table = assigned(source, partial(leaf_finder, Centroids(leaves), routing), paths)
        column = table.schema.get_field_index("sq_distance")
        distances = table["sq_distance"].to_numpy() * pool.unit**2
        return table.set_column(column, "sq_distance", pa.array(distances))
    rows, cells = pool.embeddings, None
    if routing:
        cells = (this.ship(routing.cells.vectors), routing.starts)
        if is_routed(*leaves.shape):
            rows = pool.by_cell(cells[0], routing.n_points(levels[0].n_points))
    begin = partial(shipped_leaves, this.ship(leaves), cells)
    read = PointReader(pool.unit, pool.n_features)
    schema = ASSIGN_SCHEMA.format(id=rows.schema["id"].dataType.simpleString())
    labelled = rows.mapInArrow(make_assign(read, begin, this.ship(paths)), schema)
    return labelled.withColumn("sq_distance", F.col("sq_distance") * F.lit(pool.unit**2))


def _cluster(this: Work) -> Clustered:
    embedded = this.run.outcome(embed_pool.STAGE)
    unit, size = grid_unit(embedded.largest_norm), size_of(this.run)
    pool = SparkPoints(surviving(this.run), *size, unit, this.config.seed, held=held(this.run))
    log = _IterationLog(this, unit)
    interval = this.config.cluster.checkpoint_interval
    kept = Checkpoints(this, interval=interval, gathered=lambda: log.seen)
    log.seen += [tuple(row) for row in kept.resumed or []]
    # 1. bring the points to the solver
    source = _source(this, pool)
    pool = replace(pool, held=None)
    release(this.run)
    # 2. grow the tree over them
    try:
        with threadpool_limits(1):  # the solver has its own threads
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
    this.write_all({ASSIGNMENTS: assignments} | _tables(levels, unit, log))
    n_nodes = [len(level.centroids) for level in levels]
    asked = this.config.cluster.levels
    return Clustered(
        n_nodes=tuple(n_nodes),
        n_empty=tuple(k - n for k, n in zip(asked, n_nodes, strict=True)),
        n_blocks=pool.n_blocks,
        grid_unit=unit,
        inertia=join_limbs(levels[0].inertia.sum(axis=0)) * unit**2,
    )


def _source(this: Work, pool: SparkPoints) -> BlockSource | CellSource:
    """Return the pool in the form needed by the solver, which the config or its size decides."""
    if is_local(this.config.cluster, pool.n_bytes):
        return pool.fetch()
    if this.config.cluster.cells_at(1):
        return pool
    this.write(BLOCKS, pool.pack())
    blocks = this.lake.read(BLOCKS, this.key)
    return SparkBlocks(
        blocks, n_rows=pool.n_rows, n_features=pool.n_features, n_blocks=pool.n_blocks
    )


def _tables(levels: list[Level], unit: float, log: "_IterationLog") -> dict[Table, Rows]:
    """Return the rows that describe the tree, by table."""
    tables: dict[Table, Rows] = {NODES: nodes_table(levels, unit=unit)}
    tables[ITERATIONS] = as_table(log.seen, _ITERATION)
    routing = routing_table(levels, unit=unit)
    return tables if routing is None else tables | {ROUTING: routing}


class _IterationLog:
    """Collects the rows of ``iterations`` and shows each as it comes."""

    def __init__(self, this: Work, unit: float) -> None:
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


def _report(run: Run) -> list[Row]:
    columns = ("level", "node_id", "n_children", "n_points")
    return tree_rows(run.fetch(STAGE, NODES, columns), run.outcome(STAGE).n_empty)


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the nodes on a point's path, leaf first."""
    own = run.read(STAGE, ASSIGNMENTS).where(is_id(id_)).select("path")
    ((path,),) = own.collect()
    at = enumerate(path, start=1)
    is_on_path = reduce(or_, ((F.col("level") == t) & (F.col("node_id") == n) for t, n in at))
    nodes = run.read(STAGE, NODES).where(is_on_path).select("level", "node_id", "n_points")
    rows = nodes.orderBy("level").collect()
    found = [Node(row.level, row.node_id, row.n_points, quotas={}) for row in rows]
    return replace(so_far, path=found)


def nodes_of(run: Run, level: int) -> pa.Table:
    """Return the nodes of one level : node_id, n_points, centroid."""
    nodes = run.read(STAGE, NODES).where(F.col("level") == level)
    return nodes.select("node_id", "n_points", "centroid").toArrow()


def on_grid(this: Work, gated: DataFrame) -> DataFrame:
    """Turn away rows of another table, embedded as the pool was, beyond the tree's grid."""
    if this.config.embed.normalize:
        return gated
    return within_grid(gated, this.run.outcome(STAGE).grid_unit)


def landed(this: Work, points: DataFrame) -> DataFrame:
    """Route rows of another table, embedded as the pool was, down the tree : ASSIGN_SCHEMA."""
    run = this.run
    nodes = run.fetch(STAGE, NODES, ("level", "node_id", "parent_id", "centroid"))
    cells = run.read(STAGE, ROUTING) if this.lake.exists(ROUTING) else None
    reader = PointReader(run.outcome(STAGE).grid_unit, size_of(run).n_features)
    return routed(this, points, nodes, cells, reader)


STAGE = Stage(
    name="cluster_levels",
    version=6,
    after=(embed_pool.STAGE,),
    reads=("seed", "cluster"),
    command="cluster",
    summary="Cluster the embedded pool into a tree.",
    tables=(NODES, ROUTING, ASSIGNMENTS, ITERATIONS, BLOCKS, CHECKPOINTS),
    outcome=Clustered,
    work=_cluster,
    cost=costs.cluster,
    report=_report,
    explain=_explain,
)


def run(spark: SparkSession, config: RunConfig) -> Clustered:
    """Cluster the pool, or reuse an existing tree.

    Raises
    ------
    ConfigError
        If a level asks for more clusters than it has distinct inputs.
    """
    return open_run(spark, config).do(STAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Cluster the pool into a tree."""
    from jobs.cli.command import stage_main

    return stage_main(STAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
