"""The pool as rows of a DataFrame: fetched to the driver, packed into blocks, or solved in cells.

Cells need only two passes, so they read the embeddings directly: for a sample, and for the shuffle
that brings every cell's points to the task that solves it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from jobs.clustering.sizes import bins_of, n_packing_bins, n_solving_bins
from jobs.spark.host import n_threads
from jobs.spark.session import n_slots
from jobs.spark.shipping import ship
from udfs.blocks import SOURCE_SCHEMA, from_bytes
from udfs.kernels.exact.hashing import xxhash64_on
from udfs.kernels.passes.sources import BLOCK_ROWS, CellProblem, LocalBlocks
from udfs.kernels.passes.step import Arrays
from udfs.points import PointReader, fetched
from udfs.shipping import Shipped
from udfs.shuffles import (
    SCATTER_SCHEMA,
    SOLVE_SCHEMA,
    ByBlock,
    ByCell,
    Grouping,
    make_pack,
    make_route,
    make_scatter,
    make_solve,
)


@dataclass(frozen=True, eq=False)
class SparkPoints:
    """Points of ``embeddings``; a ``CellSource`` for levels that are split.

    Attributes
    ----------
    embeddings : columns id, embedding
    unit : grid unit
    seed : seed of the hash that assigns points to blocks
    held : the same points in memory, if there are few: id, hash of the id, embedding
    """

    embeddings: DataFrame
    n_rows: int
    n_features: int
    unit: float
    seed: int
    held: pa.Table | None = None
    solver = "spark"

    @property
    def n_blocks(self) -> int:
        """The number of blocks that the points would make."""
        return max(1, -(-self.n_rows // BLOCK_ROWS))

    @property
    def n_bytes(self) -> int:
        """The size of the vectors."""
        return 4 * self.n_rows * self.n_features

    def fetch(self) -> LocalBlocks:
        """Bring the points to the driver, with their ids: ``LocalPoints``."""
        if self.held is None:
            return self._fetched(self._rows)
        seeded = xxhash64_on(self.held["hash"].to_numpy(), self.seed)
        at = self.held.schema.get_field_index("hash")
        points = self.held.set_column(at, "hash", pa.array(seeded))
        return fetched(points, self._read, self.n_blocks, n_threads())

    def head(self, n_blocks: int) -> LocalBlocks:
        """Bring the points of the first blocks to the driver."""
        first = F.pmod("hash", F.lit(self.n_blocks)) < n_blocks
        return self._fetched(self._rows.where(first).drop("id"))

    def _fetched(self, rows: DataFrame) -> LocalBlocks:
        return fetched(rows.toArrow(), self._read, self.n_blocks, n_threads())

    def pack(self) -> DataFrame:
        """Pack the points into blocks, in the pool's order: columns of SOURCE_SCHEMA."""
        n_bins = n_packing_bins(self.n_bytes, self.n_blocks, n_slots(self._spark))
        bins = np.arange(self.n_blocks) % n_bins
        scattered = self._scatter(ByBlock(self.n_blocks), bins, n_bins)
        return scattered.mapInArrow(make_pack(self.n_features, self.n_blocks), SOURCE_SCHEMA)

    def solve(self, problem: CellProblem) -> list[Arrays]:
        """Shuffle the points by cell and solve the cells, largest first, as one Spark job."""
        n_bins = n_solving_bins(self.n_bytes, len(problem.n_points), n_slots(self._spark))
        cells = ship(self._spark, problem.centroids.vectors)
        grouping = ByCell(cells, frozenset(problem.copied))
        scattered = self._scatter(grouping, bins_of(problem.n_points, n_bins), n_bins)
        lean = replace(problem, centroids=None)
        solve = make_solve(lean, self.n_features, self.n_blocks)
        try:
            solved = scattered.mapInArrow(solve, SOLVE_SCHEMA).toArrow()
        finally:
            cells.release()
        payloads = solved["payload"]  # in chunks: a sorted table's would be one, of at most 2 GiB
        order = np.argsort(solved["cell"].to_numpy(), kind="stable")
        return [from_bytes(payloads[int(i)].as_py()) for i in order]

    def by_cell(self, cells: Shipped, n_points: NDArray[np.int64]) -> DataFrame:
        """Return the embeddings, shuffled so that each task has all points of its cells.

        Parameters
        ----------
        cells : the cells' centroids
        n_points : (n_cells,), the number of points in each
        """
        n_bins = n_solving_bins(self.n_bytes, len(n_points), n_slots(self._spark))
        keys = keys_of_partitions(self._spark, n_bins)[bins_of(n_points, n_bins)]
        schema = StructType([*self.embeddings.schema, StructField("bin", IntegerType())])
        routed = self.embeddings.mapInArrow(make_route(self._read, cells, keys), schema)
        return routed.repartition(n_bins, "bin").drop("bin")

    def release(self) -> None:
        """Nothing to do: the points stay in their table."""

    @property
    def _spark(self) -> SparkSession:
        return self.embeddings.sparkSession

    @property
    def _read(self) -> PointReader:
        return PointReader(self.unit, self.n_features)

    @property
    def _rows(self) -> DataFrame:
        hashed = F.xxhash64("id", F.lit(self.seed)).alias("hash")
        return self.embeddings.select("id", hashed, "embedding")

    def _scatter(self, grouping: Grouping, bins: NDArray[np.integer], n_bins: int) -> DataFrame:
        """Shuffle points so that partition i holds the groups whose bin is i."""
        keys = keys_of_partitions(self._spark, n_bins)
        scatter = make_scatter(self._read, grouping, keys[bins])
        points = self._rows.drop("id")
        return points.mapInArrow(scatter, SCATTER_SCHEMA).repartition(n_bins, "bin")


def keys_of_partitions(spark: SparkSession, n_partitions: int) -> NDArray[np.int32]:
    """Return one key for each partition of ``repartition(n_partitions, key)``."""
    found = np.full(n_partitions, -1, np.int32)
    n_tried = 16 * n_partitions
    while (found < 0).any():
        n_tried *= 2
        tried = spark.range(n_tried).select(F.col("id").cast("int").alias("key"))
        falls = tried.select("key", F.pmod(F.hash("key"), F.lit(n_partitions)).alias("partition"))
        table = falls.toArrow()
        found[table["partition"].to_numpy()] = table["key"].to_numpy()
    return found
