"""The Spark block source: a pass is one ``mapInArrow`` job, centroids shipped to the executors.

It uses only the DataFrame API, so it also runs on Connect and serverless.
"""

import contextlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.clustering.sizes import comes_to_driver, n_packing_bins, ranges_of_sums
from jobs.spark.host import n_threads
from jobs.spark.session import known_slots, n_slots
from jobs.spark.shipping import ship
from udfs.block_files import FILES_SCHEMA, FromFiles, make_forget, make_keep
from udfs.blocks import (
    CHOSEN_SCHEMA,
    REDUCE_SCHEMA,
    SOURCE_SCHEMA,
    FromRows,
    Read,
    brought,
    from_bytes,
    make_add_up,
    make_choose,
    make_reduce,
    make_take,
)
from udfs.kernels.passes.sources import Batch, LocalBlocks
from udfs.kernels.passes.step import Arrays, Step
from udfs.kernels.passes.steps.sums import AssignAndSum
from udfs.shipping import Shipped


class SparkBlocks:
    """Blocks in a DataFrame (block_id, n_rows, vectors), kept by the executors for many passes."""

    solver = "spark"
    remembers = False

    def __init__(self, blocks: DataFrame, *, n_rows: int, n_features: int, n_blocks: int) -> None:
        self.n_rows = n_rows
        self.n_features = n_features
        self.n_blocks = n_blocks
        self._blocks = blocks
        self._shipped: Shipped | None = None

    def part(self, batch: Batch) -> "_Part":
        """Return some of the blocks; they stay where they are."""
        return _Part(self, batch)

    def reduce(self, step: Step, batch: Batch | None = None) -> Arrays:
        """Run one pass over all blocks, or over a batch of them, as one Spark job.

        It takes a second job if some blocks are missing from the files.
        """
        centroids = ship(self._blocks.sparkSession, step.centroids.vectors)
        try:
            parts = self._parts(step, centroids, batch)
        finally:
            centroids.release()
        return step.merge(parts or [step.begin().result()])

    def _parts(self, step: Step, centroids: Shipped, batch: Batch | None) -> list[Arrays]:
        """Return the tasks' results."""
        ranges = None
        if isinstance(step, AssignAndSum):
            ranges = ranges_of_sums(step.n_clusters, self.n_features, self._n_tasks)
        lean = replace(step, centroids=None)
        rows: list[dict[str, bytes]] = []
        is_wanted = F.lit(True)
        if self._files is not None:
            share = make_reduce(lean, centroids, FromFiles(self.n_features, batch), ranges)
            rows = _collected(self._in_slots(self._files).mapInArrow(share, REDUCE_SCHEMA), ranges)
            missing = np.frombuffer(b"".join(row["missing"] for row in rows), np.int32)
            is_wanted = F.col("block_id").isin(missing.tolist())
        if self._files is None or len(missing):
            if batch is not None:
                is_wanted &= F.col("block_id") % batch.n_batches < batch.size
            share = make_reduce(lean, centroids, FromRows(self.n_features), ranges)
            wanted = self._in_slots(self._rows.where(is_wanted))
            rows += _collected(wanted.mapInArrow(share, REDUCE_SCHEMA), ranges)
        return [from_bytes(row["payload"]) for row in rows]

    @property
    def _n_tasks(self) -> int:
        """Tasks of a pass: one per slot if Spark says how many there are, else one per bin."""
        spark, n_bytes = self._blocks.sparkSession, 4 * self.n_rows * self.n_features
        return known_slots(spark) or n_packing_bins(n_bytes, self.n_blocks, n_slots(spark))

    def _in_slots(self, rows: DataFrame) -> DataFrame:
        """Return as many partitions as slots, so each slot sends its sums of all clusters once."""
        slots = known_slots(rows.sparkSession)
        return rows.coalesce(slots) if slots else rows

    def take(self, wanted: NDArray[np.int64]) -> "SparkBlocks | LocalBlocks":
        """Return a source of the points at these positions (n,), in memory if they fit."""
        shipped = ship(self._blocks.sparkSession, wanted)
        if comes_to_driver(4 * len(wanted) * self.n_features):
            try:
                return self._bring(shipped, len(wanted))
            finally:
                shipped.release()
        taken = SparkBlocks(
            self._blocks.mapInArrow(make_take(shipped, self.n_features), SOURCE_SCHEMA),
            n_rows=len(wanted),
            n_features=self.n_features,
            n_blocks=self.n_blocks,
        )
        taken._shipped = shipped  # read lazily, so kept until release
        return taken

    def _bring(self, wanted: Shipped, n_wanted: int) -> LocalBlocks:
        """Bring points to the driver: from files, or if some are missing there, from the blocks."""
        if self._files is not None:
            taken = self._brought(self._files, wanted, FromFiles(self.n_features))
        if self._files is None or taken.n_rows < n_wanted:
            taken = self._brought(self._rows, wanted, FromRows(self.n_features))
        return taken

    def _brought(self, rows: DataFrame, wanted: Shipped, read: Read) -> LocalBlocks:
        table = rows.mapInArrow(make_choose(wanted, read), CHOSEN_SCHEMA).toArrow()
        return brought(table, self.n_features, self.n_blocks, n_threads())

    @cached_property
    def _files(self) -> DataFrame | None:
        """The names of the files that executors keep blocks in; None if there can be none.

        Spark caches the names, and serverless has no cache. If Spark is set to encrypt what it
        writes, plain files are out of the question.
        """
        with contextlib.suppress(Exception):
            conf = self._blocks.sparkSession.conf
            if conf.get("spark.io.encryption.enabled", "false") == "false":
                return self._blocks.mapInArrow(make_keep(self.n_features), FILES_SCHEMA).persist()
        return None

    @cached_property
    def _rows(self) -> DataFrame:
        """The blocks, cached by Spark from their first use on: in memory if they fit, or on disk.

        Serverless has no cache: there they are recomputed for every pass.
        """
        with contextlib.suppress(Exception):
            return self._blocks.persist()
        return self._blocks

    def release(self) -> None:
        """Free what the executors keep: nothing if no pass has run."""
        if (files := vars(self).get("_files")) is not None:
            with contextlib.suppress(Exception):
                files.mapInArrow(make_forget(), FILES_SCHEMA).collect()
            with contextlib.suppress(Exception):
                files.unpersist()
        if (rows := vars(self).get("_rows")) is not None:
            with contextlib.suppress(Exception):
                rows.unpersist()
        if self._shipped is not None:
            self._shipped.release()


def _collected(rows: DataFrame, ranges: NDArray[np.int64] | None = None) -> list[dict[str, bytes]]:
    """Bring results to the driver, adding up sums by range on the way.

    As Arrow: pickling takes twice as long for large values.
    """
    if ranges is not None:
        rows = rows.repartition(len(ranges), "range").mapInArrow(make_add_up(), REDUCE_SCHEMA)
    found: list[dict[str, bytes]] = rows.toArrow().to_pylist()
    return found


@dataclass(frozen=True)
class _Part:
    """Some blocks of a source."""

    source: SparkBlocks
    batch: Batch
    remembers = False

    def reduce(self, step: Step) -> Arrays:
        """Run one pass over them."""
        return self.source.reduce(step, self.batch)
