"""The Spark block source: a pass is one ``mapInArrow`` job, centroids shipped to the executors.

DataFrame API only, so that it runs on Connect and serverless as well.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.lake.session import n_slots
from jobs.lake.shipping import ship
from udfs.blocks import (
    REDUCE_SCHEMA,
    ROUTE_SCHEMA,
    SOLVE_SCHEMA,
    SOURCE_SCHEMA,
    from_bytes,
    make_reduce,
    make_route,
    make_solve,
    make_take,
    points_in,
    source_batch,
)
from udfs.kernels.passes import Arrays, Step
from udfs.kernels.sources import BLOCK_ROWS, Batch, CellProblem, LocalBlocks
from udfs.shipping import Shipped

_BLOCKS_PER_CLIENT_BATCH = 64  # sent together when a matrix becomes a DataFrame
_READ_BYTES = 8 << 20  # of blocks, read from Parquet at once
_BINS_PER_SLOT = 8  # of cells: enough to level out the work at the end
BIN_BYTES = 128 << 20  # vectors that one bin should hold; a worker needs about three times that


class SparkBlocks:
    """Blocks in a DataFrame (block_id, n_rows, vectors); ``held`` where many passes will come."""

    solver = "spark"
    remembers = False

    def __init__(
        self, spark: SparkSession, blocks: DataFrame, *, n_rows: int, n_features: int, n_blocks: int
    ) -> None:
        self.spark = spark
        self.n_rows = n_rows
        self.n_features = n_features
        self.n_blocks = n_blocks
        self._blocks = blocks
        self._held: list[Shipped] = []

    def reduce(self, step: Step, batch: Batch | None = None) -> Arrays:
        """Run one pass over all blocks, or over a batch of them, as one Spark job."""
        blocks = self._blocks
        if batch is not None:
            blocks = blocks.where(F.col("block_id") % batch.n_batches < batch.size)
        centroids = ship(self.spark, step.centroids.vectors)
        lean = replace(step, centroids=None)  # type: ignore[type-var]
        rows = blocks.mapInArrow(
            make_reduce(lean, centroids, self.n_features), REDUCE_SCHEMA
        ).collect()
        centroids.release()
        parts = [from_bytes(bytes(row.payload)) for row in rows]
        return step.merge(parts or [step.begin().result()])

    def take(self, wanted: NDArray[np.int64]) -> "SparkBlocks":
        """Give a source of only the points at these positions; blocks keep their ids."""
        shipped = ship(self.spark, wanted)
        taken = SparkBlocks(
            self.spark,
            held(self._blocks.mapInArrow(make_take(shipped, self.n_features), SOURCE_SCHEMA)),
            n_rows=len(wanted),
            n_features=self.n_features,
            n_blocks=self.n_blocks,
        )
        taken._held.append(shipped)  # lazily needed until release
        return taken

    def head(self, n_blocks: int) -> LocalBlocks:
        """Bring the first blocks to the driver."""
        first = self._blocks.where(F.col("block_id") < n_blocks)
        return to_local(first, n_features=self.n_features, n_blocks=n_blocks)

    def solve(self, problem: CellProblem) -> list[Arrays]:
        """Shuffle the points by cell and solve the cells, the largest first, as one Spark job."""
        n_bytes = 4 * self.n_rows * self.n_features
        n_bins = max(_BINS_PER_SLOT * n_slots(self.spark), -(-n_bytes // BIN_BYTES))
        n_bins = min(n_bins, len(problem.n_points))
        bins = bins_of(problem.n_points, n_bins)
        cells = ship(self.spark, problem.centroids.vectors)
        routed = self._blocks.mapInArrow(
            make_route(cells, keys_of_partitions(self.spark, n_bins)[bins], self.n_features),
            ROUTE_SCHEMA,
        )
        lean = replace(problem, centroids=None)  # type: ignore[type-var]
        rows = (
            routed.repartition(n_bins, "bin")
            .mapInArrow(make_solve(lean, self.n_features), SOLVE_SCHEMA)
            .collect()
        )
        cells.release()
        return [from_bytes(bytes(row.payload)) for row in sorted(rows, key=lambda row: row.cell)]

    def release(self) -> None:
        """Free the executors' copies."""
        with contextlib.suppress(Exception):
            self._blocks.unpersist()
        for shipped in self._held:
            shipped.release()


def held(blocks: DataFrame) -> DataFrame:
    """Keep rows on the executors, in memory as far as it goes, then on disk.

    Serverless has no cache: there they are made again for every pass.
    """
    with contextlib.suppress(Exception):
        return blocks.persist()
    return blocks


@contextlib.contextmanager
def block_sized_batches(spark: SparkSession, n_features: int) -> Iterator[None]:
    """Let Parquet's reader take as many blocks at once as fill a few MB.

    Its default of 4096 rows makes it grow buffers of a gigabyte: blocks are read 2.7 times faster.
    """
    key = "spark.sql.parquet.columnarReaderBatchSize"
    before = None
    with contextlib.suppress(Exception):  # serverless keeps its settings to itself
        before = spark.conf.get(key, "4096")
        spark.conf.set(key, str(max(1, _READ_BYTES // (4 * BLOCK_ROWS * n_features))))
    try:
        yield
    finally:
        if before is not None:
            spark.conf.set(key, before)


def bins_of(n_points: NDArray[np.int64], n_bins: int) -> NDArray[np.int32]:
    """Pack cells into bins, the largest cell first, each into the emptiest bin : (n_cells,).

    Bin 0 starts with the largest cell, bin 1 with the next, as Spark starts partition 0 first.
    """
    load = np.zeros(n_bins, np.int64)
    bins = np.empty(len(n_points), np.int32)
    for cell in np.argsort(-n_points, kind="stable"):
        bins[cell] = load.argmin()
        load[bins[cell]] += n_points[cell]
    return bins


def keys_of_partitions(spark: SparkSession, n_partitions: int) -> NDArray[np.int32]:
    """Give, for each partition of ``repartition(n_partitions, key)``, a key that falls into it."""
    found = np.full(n_partitions, -1, np.int32)
    n_tried = 16 * n_partitions
    while (found < 0).any():
        n_tried *= 2
        tried = spark.range(n_tried).select(F.col("id").cast("int").alias("key"))
        falls = tried.select("key", F.pmod(F.hash("key"), F.lit(n_partitions)).alias("partition"))
        table = falls.toArrow()
        found[table["partition"].to_numpy()] = table["key"].to_numpy()
    return found


def to_local(
    blocks: DataFrame, *, n_features: int, n_blocks: int, n_threads: int = 1
) -> LocalBlocks:
    """Bring blocks to the driver."""
    parts = [
        points_in(batch, n_features)
        for batch in blocks.select("block_id", "n_rows", "vectors").toArrow().to_batches()
    ]
    where = np.concatenate([where for where, _ in parts])
    X = np.concatenate([X for _, X in parts])
    if (np.diff(where) < 0).any():
        order = np.argsort(where)
        where, X = where[order], X[order]
    return LocalBlocks(where, X, n_blocks, n_threads)


def to_spark(spark: SparkSession, local: LocalBlocks) -> SparkBlocks:
    """Move points in memory to the executors."""
    blocks = source_batch(local.positions, local.X)
    sliced = [
        blocks.slice(i, _BLOCKS_PER_CLIENT_BATCH)
        for i in range(0, blocks.num_rows, _BLOCKS_PER_CLIENT_BATCH)
    ]
    n_parts = max(1, min(n_slots(spark), blocks.num_rows))
    return SparkBlocks(
        spark,
        held(spark.createDataFrame(pa.Table.from_batches(sliced)).repartition(n_parts, "block_id")),
        n_rows=local.n_rows,
        n_features=local.n_features,
        n_blocks=local.n_blocks,
    )
