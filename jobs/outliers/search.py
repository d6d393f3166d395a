"""Every point's nearest neighbours among all others, found in coarse cells.

A sample would not do as the reference: it has no member of a concept of 20 in a million, so that
the concept's points would look isolated. Here every point of the pool can be found. In the first
search each point asks in its nearest cell, where those are members for which it is the nearest or
the second; what it misses beyond can only make it look farther away. So points that look too far
away ask again, in 64 cells: all of them in a pool of up to 131,072 points.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.clustering.sizes import CELL_BYTES, bins_of, n_solving_bins
from jobs.clustering.spark_points import SparkPoints, keys_of_partitions
from jobs.spark.session import n_slots
from udfs.kernels.cells.coarse import LARGEST_CELL, CoarseCells, fit_cells
from udfs.neighbours import IN_CELLS, NEIGHBOURS_SCHEMA, make_find, make_send
from udfs.points import PointReader
from udfs.shipping import Shipped

N_NEIGHBOURS = 2  # so that two remote points do not vouch for each other
CELL_ROWS = 2048  # points per cell; more in a large pool: twice the root of its size
N_ASKED_AGAIN = 64  # cells searched
_N_MEMBER = 2  # cells in which a point can be found by those that ask in one cell


def n_cells(n_points: int, n_features: int) -> int:
    """Return the number of cells for a pool."""
    n_rows = max(CELL_ROWS, 2 * math.isqrt(n_points))
    most = CELL_BYTES / (4 * n_features * LARGEST_CELL * _N_MEMBER)
    return math.ceil(n_points / max(1, min(n_rows, most)))


def cells_of(pool: SparkPoints, *, seed: int) -> CoarseCells:
    """Fit the cells on a hash sample of the pool."""
    n = n_cells(pool.n_rows, pool.n_features)
    source = pool if pool.held is None else pool.fetch()
    return fit_cells(source, n, n, max_rows=pool.n_rows, seed=seed)


@dataclass(frozen=True)
class Search:
    """A search for neighbours in cells.

    Attributes
    ----------
    centroids : centroids of the cells, shipped
    n_points : (n_cells,) in each, estimated
    """

    pool: SparkPoints
    centroids: Shipped
    n_points: NDArray[np.int64]

    @property
    def is_complete(self) -> bool:
        """Whether the first search has seen all points, so that another finds nothing new."""
        return len(self.n_points) == 1

    def once(self) -> DataFrame:
        """Search the nearest cell of every point : id, sq_distance, nearest_id.

        ``sq_distance`` is that to the N_NEIGHBOURS-th nearest other in squared grid units, null if
        none was found; ``nearest_id`` is the nearest.
        """
        found = self._found(self.pool.embeddings, F.lit(_N_MEMBER), F.lit(1))
        return _as_columns(found, F.col("nearest"))

    def again(self, ids: DataFrame) -> DataFrame:
        """Search N_ASKED_AGAIN cells for each of some points, with the columns of ``once``."""
        marked = ids.select("id", F.lit(N_ASKED_AGAIN).alias("n_asked"))
        rows = self.pool.embeddings.join(marked, on="id", how="left")
        found = self._found(rows, F.lit(1), F.coalesce("n_asked", F.lit(0)))
        nearest = F.sort_array(F.flatten(F.collect_list("nearest")))
        return _as_columns(found.groupBy("id").agg(nearest.alias("nearest")), F.col("nearest"))

    def _found(self, rows: DataFrame, n_member: Column, n_asked: Column) -> DataFrame:
        pool, spark = self.pool, rows.sparkSession
        n_bins = n_solving_bins(_N_MEMBER * pool.n_bytes, len(self.n_points), n_slots(spark))
        keys = keys_of_partitions(spark, n_bins)[bins_of(self.n_points, n_bins)]
        read = PointReader(pool.unit, pool.n_features)
        id_type = rows.schema["id"].dataType.simpleString()
        wanted = rows.select(
            "id",
            "embedding",
            n_member.cast("int").alias("n_member"),
            n_asked.cast("int").alias("n_asked"),
        )
        sent = wanted.mapInArrow(
            make_send(read, self.centroids, keys),
            f"{IN_CELLS}, id {id_type}, embedding array<float>",
        ).repartition(n_bins, "bin")
        find = make_find(read, N_NEIGHBOURS)
        return sent.mapInArrow(find, NEIGHBOURS_SCHEMA.format(id=id_type))


def _as_columns(found: DataFrame, nearest: Column) -> DataFrame:
    """Return the distance to the last of the nearest, and the first of them."""
    return found.select(
        "id",
        F.get(nearest, F.lit(N_NEIGHBOURS - 1))["sq_distance"].alias("sq_distance"),
        F.get(nearest, F.lit(0))["id"].alias("nearest_id"),
    )
