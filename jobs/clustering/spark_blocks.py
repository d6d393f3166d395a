"""The Spark block source: a pass is one ``mapInArrow`` job, centroids shipped to the executors.

DataFrame API only, so that it runs on Connect and serverless as well.
"""

import contextlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.lake.shipping import ship
from udfs.blocks import REDUCE_SCHEMA, SOURCE_SCHEMA, from_bytes, make_reduce, make_take
from udfs.kernels.passes import Arrays, Step
from udfs.kernels.sources import Batch
from udfs.shipping import Shipped


class SparkBlocks:
    """Blocks in a DataFrame (block_id, n_rows, vectors), kept on the executors for many passes."""

    solver = "spark"
    remembers = False

    def __init__(self, blocks: DataFrame, *, n_rows: int, n_features: int, n_blocks: int) -> None:
        self.n_rows = n_rows
        self.n_features = n_features
        self.n_blocks = n_blocks
        self._blocks = _held(blocks)
        self._shipped: Shipped | None = None

    def reduce(self, step: Step, batch: Batch | None = None) -> Arrays:
        """Run one pass over all blocks, or over a batch of them, as one Spark job."""
        blocks = self._blocks
        if batch is not None:
            blocks = blocks.where(F.col("block_id") % batch.n_batches < batch.size)
        centroids = ship(blocks.sparkSession, step.centroids.vectors)
        lean = replace(step, centroids=None)  # type: ignore[type-var]
        rows = blocks.mapInArrow(
            make_reduce(lean, centroids, self.n_features), REDUCE_SCHEMA
        ).collect()
        centroids.release()
        parts = [from_bytes(bytes(row.payload)) for row in rows]
        return step.merge(parts or [step.begin().result()])

    def take(self, wanted: NDArray[np.int64]) -> "SparkBlocks":
        """Give a source of only the points at these positions; blocks keep their ids."""
        shipped = ship(self._blocks.sparkSession, wanted)
        taken = SparkBlocks(
            self._blocks.mapInArrow(make_take(shipped, self.n_features), SOURCE_SCHEMA),
            n_rows=len(wanted),
            n_features=self.n_features,
            n_blocks=self.n_blocks,
        )
        taken._shipped = shipped  # lazily needed until release
        return taken

    def release(self) -> None:
        """Free the executors' copies."""
        with contextlib.suppress(Exception):
            self._blocks.unpersist()
        if self._shipped is not None:
            self._shipped.release()


def _held(blocks: DataFrame) -> DataFrame:
    """Keep rows on the executors, in memory as far as it goes, then on disk.

    Serverless has no cache: there they are made again for every pass.
    """
    with contextlib.suppress(Exception):
        return blocks.persist()
    return blocks
