"""The Spark block source: a pass is one ``mapInArrow`` job, centroids shipped to the executors.

DataFrame API only, so that it runs on Connect and serverless as well.
"""

import contextlib
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
    SOURCE_SCHEMA,
    from_bytes,
    make_reduce,
    make_take,
    source_batch,
)
from udfs.kernels.passes import Arrays, Step
from udfs.kernels.sources import Batch, LocalBlocks
from udfs.shipping import Shipped

_ROWS_PER_CLIENT_BATCH = 64  # blocks sent together when a matrix becomes a DataFrame


class SparkBlocks:
    """Blocks in a DataFrame (block_id, n_rows, vectors), kept in the executors' memory."""

    solver = "spark"

    def __init__(
        self, spark: SparkSession, blocks: DataFrame, *, n_rows: int, n_features: int, n_blocks: int
    ) -> None:
        self.spark = spark
        self.n_rows = n_rows
        self.n_features = n_features
        self.n_blocks = n_blocks
        self._blocks = blocks.select("block_id", "n_rows", "vectors")
        self._held: list[Shipped] = []
        with contextlib.suppress(Exception):  # serverless has no cache; then blocks are read again
            self._blocks = self._blocks.persist()

    def reduce(self, step: Step, batch: Batch | None = None) -> Arrays:
        """Run one pass over all blocks, or over a batch of them, as one Spark job."""
        blocks = self._blocks
        if batch is not None:
            blocks = blocks.where(F.col("block_id") % batch.n_batches == batch.number)
        centroids = ship(self.spark, step.centroids.vectors)
        lean = replace(step, centroids=None)  # type: ignore[type-var]
        rows = blocks.mapInArrow(
            make_reduce(lean, centroids, self.n_features), REDUCE_SCHEMA
        ).collect()
        centroids.release()
        parts = [from_bytes(bytes(row.payload)) for row in rows]
        return step.merge(parts or [step.begin().result()])

    def take(self, positions: NDArray[np.int64]) -> "SparkBlocks":
        """Give a source of only these points; blocks keep their ids."""
        wanted = ship(self.spark, positions)
        taken = SparkBlocks(
            self.spark,
            self._blocks.mapInArrow(make_take(wanted, self.n_features), SOURCE_SCHEMA),
            n_rows=len(positions),
            n_features=self.n_features,
            n_blocks=self.n_blocks,
        )
        taken._held.append(wanted)  # lazily needed until release
        return taken

    def release(self) -> None:
        """Free the executors' copies."""
        with contextlib.suppress(Exception):
            self._blocks.unpersist()
        for shipped in self._held:
            shipped.release()


def to_spark(spark: SparkSession, local: LocalBlocks) -> SparkBlocks:
    """Move blocks in memory to the executors."""
    blocks = list(local.blocks)
    batches = [
        source_batch(blocks[i : i + _ROWS_PER_CLIENT_BATCH])
        for i in range(0, len(blocks), _ROWS_PER_CLIENT_BATCH)
    ]
    rows = spark.createDataFrame(pa.Table.from_batches(batches))
    n_parts = max(1, min(n_slots(spark), len(blocks)))
    return SparkBlocks(
        spark,
        rows.repartition(n_parts, "block_id"),
        n_rows=local.n_rows,
        n_features=local.n_features,
        n_blocks=local.n_blocks,
    )
