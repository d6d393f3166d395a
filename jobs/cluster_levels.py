"""Cluster the pool level by level into a tree whose leaves spread evenly over its concepts.

Reads    embeddings
Writes   blocks; nodes: the tree; routing: the cells of a split level; assignments: every point's
         leaf and path; iterations
Method   hierarchical k-means with resampling, arXiv 2405.15613, on the exact grid of
         ``udfs.kernels.grid``
Run      evenlake cluster --config conf/quickstart.yaml
"""

import os
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from threadpoolctl import threadpool_limits

from jobs.clustering.spark_blocks import (
    BIN_BYTES,
    SparkBlocks,
    block_sized_batches,
    held,
    keys_of_partitions,
    to_local,
    to_spark,
)
from jobs.clustering.tree import Level, grow_tree, leaf_paths
from jobs.lake.command import job_main
from jobs.lake.config import RunConfig
from jobs.lake.runs import Metrics, Run, open_run
from jobs.lake.session import n_slots
from jobs.lake.shipping import ship
from udfs.blocks import (
    ASSIGN_SCHEMA,
    PACK_SCHEMA,
    SCATTER_SCHEMA,
    make_assign,
    make_pack,
    make_scatter,
)
from udfs.kernels.grid import from_grid, grid_unit
from udfs.kernels.kmeans import Iteration
from udfs.kernels.sources import BLOCK_ROWS, BlockSource, blocks_of

STAGE = "cluster_levels"
LOCAL_BYTES = 512 << 20  # solver `auto` brings the pool to the driver up to this size,
LOCAL_BYTES_SPLIT = 64 << 20  # or this, where three Spark jobs do what a pass a job did


def pack_blocks(
    embeddings: DataFrame, *, n_points: int, n_features: int, unit: float, seed: int
) -> DataFrame:
    """Pack points into blocks by hash, rows ordered by (hash, id): columns of PACK_SCHEMA."""
    spark = embeddings.sparkSession
    n_blocks = max(1, -(-n_points // BLOCK_ROWS))
    n_bins = min(n_blocks, max(n_slots(spark), -(-4 * n_points * n_features // BIN_BYTES)))
    id_type = embeddings.schema["id"].dataType.simpleString()
    hashed = F.xxhash64("id", F.lit(seed))
    block_id = F.pmod(hashed, F.lit(n_blocks)).cast("int")
    scatter = make_scatter(unit, n_features, keys_of_partitions(spark, n_bins))
    return (
        embeddings.select(block_id.alias("block_id"), hashed.alias("hash"), "id", "embedding")
        .mapInArrow(scatter, SCATTER_SCHEMA.format(id=id_type))
        .repartition(n_bins, "bin")
        .mapInArrow(make_pack(n_features), PACK_SCHEMA.format(id=id_type))
    )


def assign_points(
    blocks: DataFrame, levels: list[Level], *, n_features: int, unit: float
) -> DataFrame:
    """Label every point with its leaf and path: columns of ``assignments``."""
    id_type = blocks.schema["ids"].dataType.simpleString().removeprefix("array<").removesuffix(">")
    spark, routing = blocks.sparkSession, levels[0].routing
    leaves = ship(spark, levels[0].centroids)
    cells = (ship(spark, routing.cells.vectors), routing.starts) if routing else None
    return blocks.mapInArrow(
        make_assign(leaves, leaf_paths(levels), n_features, cells),
        ASSIGN_SCHEMA.format(id=id_type),
    ).withColumn("sq_distance", F.col("sq_distance") * F.lit(unit**2))


def nodes_table(levels: list[Level], *, unit: float) -> pa.Table:
    """Give the tree as rows of ``nodes``."""
    parts = []
    for t, level in enumerate(levels, start=1):
        n_nodes = len(level.centroids)
        is_top = level.parents < 0
        parts.append(
            pa.table(
                {
                    "level": pa.array(np.full(n_nodes, t, np.int32)),
                    "node_id": pa.array(np.arange(n_nodes)),
                    "parent_id": pa.array(level.parents, mask=is_top),
                    "n_children": pa.array(level.n_children),
                    "n_leaves": pa.array(level.n_leaves),
                    "n_points": pa.array(level.n_points),
                    "inertia": pa.array([float(i) * unit**2 for i in level.inertia]),
                    "radius": pa.array((np.sqrt(level.sq_radius) * unit).astype(np.float32)),
                    "centroid": _vectors(level.centroids, unit),
                }
            )
        )
    return pa.concat_tables(parts)


def routing_table(levels: list[Level], *, unit: float) -> pa.Table | None:
    """Give the cells of split levels as rows of ``routing``."""
    parts = []
    for t, level in enumerate(levels, start=1):
        if level.routing is None:
            continue
        cells, starts = level.routing.cells.vectors, level.routing.starts
        parts.append(
            pa.table(
                {
                    "level": pa.array(np.full(len(cells), t, np.int32)),
                    "cell_id": pa.array(np.arange(len(cells), dtype=np.int32)),
                    "leaf_ids": pa.ListArray.from_arrays(
                        pa.array(starts, pa.int32()), pa.array(np.arange(starts[-1]))
                    ),
                    "centroid": _vectors(cells, unit),
                }
            )
        )
    return pa.concat_tables(parts) if parts else None


def _vectors(C: NDArray[np.float32], unit: float) -> pa.ListArray:
    offsets = np.arange(len(C) + 1, dtype=np.int32) * C.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(from_grid(C, unit).ravel()))


def run(spark: SparkSession, config: RunConfig, *, within: Run | None = None) -> Metrics:
    """Cluster the pool, or reuse the tree that is there.

    Raises
    ------
    ConfigError
        If a level asks for more clusters than it has distinct inputs.
    """
    this = within or open_run(spark, config)
    embedded = this.figures("embed_pool")
    return this.stage(STAGE, lambda: _cluster(this, embedded))


def _cluster(this: Run, embedded: Metrics) -> Metrics:
    n_points, n_features = int(embedded["n_points"]), int(embedded["n_features"])
    unit = grid_unit(embedded["largest_norm"])
    # 1. pack the points into blocks
    embeddings = this.lake.read("embeddings", this.keys["embed_pool"])
    packed = pack_blocks(
        embeddings, n_points=n_points, n_features=n_features, unit=unit, seed=this.config.seed
    )
    n_blocks = this.write("blocks", packed, STAGE)
    blocks = this.lake.read("blocks", this.keys[STAGE])
    log = _IterationLog(this, unit)
    with block_sized_batches(this.spark, n_features):
        # 2. grow the tree over them
        levels = _grow(this, blocks, n_points, n_features, log)
        # 3. write the tree, and every point's place in it
        placed = assign_points(blocks, levels, n_features=n_features, unit=unit)
        this.write_all({"assignments": placed} | _tables(this, levels, unit, log), STAGE)
    return _figures(levels, this.config) | {
        "n_blocks": n_blocks,
        "grid_unit": unit,
        "inertia": sum(levels[0].inertia) * unit**2,
    }


def _grow(
    this: Run, blocks: DataFrame, n_points: int, n_features: int, log: "_IterationLog"
) -> list[Level]:
    source = _pool_source(this, blocks, n_points, n_features)
    with threadpool_limits(1):  # the threads are the solver's own
        levels = grow_tree(
            source,
            this.config.cluster,
            seed=this.config.seed,
            blocks_of=lambda C: _level_source(this, C),
            on_iteration=log,
        )
    source.release()
    return levels


def _tables(
    this: Run, levels: list[Level], unit: float, log: "_IterationLog"
) -> dict[str, DataFrame]:
    """Give what describes the tree, by table."""
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


def _pool_source(this: Run, blocks: DataFrame, n_points: int, n_features: int) -> BlockSource:
    """Give the pool's blocks to the solver that the config, or the pool's size, asks for."""
    n_blocks = max(1, -(-n_points // BLOCK_ROWS))
    asked, is_split = this.config.cluster.solver, this.config.cluster.cells_at(1)
    limit = LOCAL_BYTES_SPLIT if is_split else LOCAL_BYTES
    if asked == "spark" or (asked == "auto" and 4 * n_points * n_features > limit):
        vectors = blocks.select("block_id", "n_rows", "vectors")
        return SparkBlocks(
            this.spark,
            vectors if is_split else held(vectors),  # three passes do not pay for a copy
            n_rows=n_points,
            n_features=n_features,
            n_blocks=n_blocks,
        )
    return to_local(blocks, n_features=n_features, n_blocks=n_blocks, n_threads=_n_threads())


def _level_source(this: Run, C: NDArray[np.float32]) -> BlockSource:
    local = blocks_of(C, n_threads=_n_threads())
    return to_spark(this.spark, local) if this.config.cluster.solver == "spark" else local


def _n_threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _IterationLog:
    """Collects the rows of ``iterations`` and shows each as it comes."""

    def __init__(self, this: Run, unit: float) -> None:
        self.this, self.unit = this, unit
        self.seen: list[tuple[object, ...]] = []

    def __call__(self, level: int, round_: int, solver: str, it: Iteration) -> None:
        inertia = float(it.objective) * self.unit**2
        self.seen.append(
            (
                level,
                round_,
                it.iteration,
                it.algorithm,
                solver,
                it.n_rows,
                inertia,
                it.moved,
                it.n_empty,
                it.seconds,
            )
        )
        n_levels, n_rounds = len(self.this.config.cluster.levels), self.this.config.cluster
        done = level - 1 + round_ / (n_rounds.rounds_at(level) + 1)
        self.this.progress.update(
            done,
            n_levels,
            level=level,
            round=round_,
            iter=it.iteration,
            inertia=inertia,
            moved=it.moved,
            empty=it.n_empty,
        )

    def rows(self) -> DataFrame:
        """Give them as a DataFrame."""
        names = (
            "level int, round int, iteration int, algorithm string, solver string, n_rows bigint, "
            "inertia double, moved double, n_empty bigint, seconds double"
        )
        return self.this.spark.createDataFrame(self.seen, names)


def main(argv: Sequence[str] | None = None) -> int:
    """Cluster the pool into a tree."""
    return job_main(run, argv, name="cluster")


if __name__ == "__main__":
    sys.exit(main())
