"""Near copies: similar pairs, searched in cells, and which of their points stay.

Method   cosine above a threshold in a point's nearest coarse cells, as SemDeDup searches in one
         (arXiv 2303.09540); a group is a point and those similar to itself, not a chain of them
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from threadpoolctl import threadpool_limits

from jobs.clustering.sizes import bins_of, n_solving_bins
from jobs.clustering.spark_points import keys_of_partitions
from jobs.config.errors import GuardError
from jobs.duplicates.exact import FOUND
from jobs.points.hash_sample import sample_of, sample_rows
from jobs.points.surviving import HASH, places_of
from jobs.runs.work import Work
from jobs.spark.frames import kept_no_more, kept_on_disk
from jobs.spark.host import n_threads
from jobs.spark.session import n_slots
from udfs.kernels.exact.hashing import derive_seed
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.near.cells import (
    MOST_SEARCHED,
    SAMPLE_PER_CELL,
    NearestCells,
    fit_search_cells,
    members_of,
    n_cells_for,
    searched_within,
)
from udfs.kernels.near.groups import keepers_of
from udfs.kernels.near.pairs import Pairs, better_neighbours
from udfs.near import (
    PAIRS_SCHEMA,
    POINT,
    ROUTED_SCHEMA,
    UNIT,
    DirectionReader,
    Ranking,
    make_route,
    make_search,
)

MOST_PAIRS = 100_000_000  # that fit on the driver, at about 100 bytes each, with their points
_SALT = "find_duplicates.cells"
_LEAST_SAMPLED = 2048
_ROUTED_ROWS = 8192  # routed at once


@dataclass(frozen=True)
class Near:
    """A search for near copies.

    Attributes
    ----------
    read : reader of the points' vectors
    threshold : the least cosine similarity
    seed : seed of the sample that cells are fitted on, and of the fit
    """

    read: DirectionReader
    threshold: float
    ranking: Ranking
    seed: int

    def n_sampled(self, n_points: int) -> int:
        """Return the number of points that cells are fitted on."""
        return max(_LEAST_SAMPLED, SAMPLE_PER_CELL * n_cells_for(n_points))

    def cells(self, sample: pa.Table, n_points: int) -> NDArray[np.float32]:
        """Fit the cells on a hash sample of the points."""
        X = np.concatenate([self.read(batch) for batch in sample.to_batches()])
        seed = derive_seed(self.seed, -4)
        with threadpool_limits(1):  # the solver has its own threads
            return fit_search_cells(X, n_cells_for(n_points), seed=seed, n_threads=n_threads())

    def in_memory(self, points: pa.Table) -> pa.Table:
        """Return the near copies among points in memory.

        Parameters
        ----------
        points : id, group_id, embedding, hash; rank if there is one

        Returns
        -------
        found : columns of ``duplicates``

        Raises
        ------
        GuardError
            If too many pairs are similar.
        """
        n_sampled = self.n_sampled(len(points))
        sample = sample_of(points, points[HASH], _SALT, n_sampled, seed=self.seed)
        C = self.cells(sample, len(points))
        with threadpool_limits(1), ThreadPoolExecutor(n_threads()) as threads:
            X, cells, sq_dist = self._placed(C, points, threads)
            has_rank = "rank" in points.column_names
            ranked = points if has_rank else points.append_column("rank", pa.array(sq_dist))
            order = self.ranking(ranked)
            members = members_of(cells[order], len(C))  # members by their places in this order
            found = threads.map(lambda places: self._similar(X, order, places), members)
            pairs = Pairs(*(np.concatenate(each) for each in zip(*found, strict=True)))
        self._require_few(len(pairs.row))
        return _gone(points.select(["id", "group_id"]).take(pa.array(order)), pairs)

    def _placed(
        self, C: NDArray[np.float32], points: pa.Table, threads: ThreadPoolExecutor
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]:
        """Read points, and find the cells that they are searched in."""
        n, centroids, finders = len(points), Centroids(C), threading.local()
        within = searched_within(self.threshold, UNIT)
        X = np.empty((n, self.read.n_features), np.float32)
        cells = np.empty((n, min(MOST_SEARCHED, len(C))), np.int32)
        sq_dist = np.empty(n)

        def place(batch: pa.RecordBatch, start: int) -> None:
            if not hasattr(finders, "nearest"):
                finders.nearest = NearestCells(centroids, within)
            run = slice(start, start + len(batch))
            X[run] = self.read(batch)
            cells[run], sq_dist[run] = finders.nearest(X[run])

        batches = points.select(["embedding"]).to_batches(max_chunksize=_ROUTED_ROWS)
        starts = np.cumsum([0, *map(len, batches)])[:-1]
        list(threads.map(place, batches, starts.tolist()))
        return X, cells, sq_dist

    def _similar(
        self, X: NDArray[np.float32], order: NDArray[np.int64], places: NDArray[np.int64]
    ) -> Pairs:
        """Return a cell's similar pairs, by their places in the order of rank."""
        pairs = better_neighbours(X[order[places]], self.threshold)
        return Pairs(places[pairs.row], places[pairs.better], pairs.cosine)

    def on_executors(self, this: Work, points: DataFrame, n_points: int) -> pa.Table:
        """Return the near copies among points in a DataFrame, as ``in_memory`` does.

        Raises
        ------
        GuardError
            If more pairs are similar than fit the driver.
        """
        wanted = [(_SALT, self.n_sampled(n_points))]
        rows = points.select("id", "embedding")
        (sample,) = sample_rows(rows, wanted, n_points, seed=self.seed)
        C = self.cells(sample, n_points)
        bins = self._bins(this, sample, C, n_points)
        kinds = {f.name: f.dataType.simpleString() for f in points.schema}
        kinds = {"id": kinds["id"], "rank": kinds.get("rank", "double")}
        route = make_route(self.read, self.threshold, this.ship(C).get, bins)
        routed = points.mapInArrow(route, ROUTED_SCHEMA.format(**kinds))
        n_bins = len(np.unique(bins))
        search = make_search(self.read.n_features, self.threshold, self.ranking)
        pairs = kept_on_disk(
            routed.repartition(n_bins, "bin").mapInArrow(search, PAIRS_SCHEMA.format(**kinds))
        )
        try:
            self._require_few(pairs.count())
            return self._resolved(pairs.toArrow())
        finally:
            kept_no_more(pairs)

    def _require_few(self, n_pairs: int) -> None:
        if n_pairs > MOST_PAIRS:
            raise GuardError(
                f"dedup.threshold={self.threshold}: {n_pairs} pairs are similar, want at most "
                f"{MOST_PAIRS}; raise it, or turn near copies away by input.where"
            )

    def _bins(
        self, this: Work, sample: pa.Table, C: NDArray[np.float32], n_points: int
    ) -> NDArray[np.int32]:
        """Return the key of each cell's bin : (n_cells,)."""
        nearest = NearestCells(Centroids(C), searched_within(self.threshold, UNIT))
        cells = np.concatenate([nearest(self.read(batch))[0] for batch in sample.to_batches()])
        n_sampled = np.bincount(cells[cells >= 0], minlength=len(C))
        n_sent = n_sampled.sum() * n_points // len(cells)
        n_bytes = int(4 * n_sent * self.read.n_features)
        n_bins = n_solving_bins(n_bytes, len(C), n_slots(this.spark))
        return keys_of_partitions(this.spark, n_bins)[bins_of(n_sampled, n_bins)]

    def _resolved(self, pairs: pa.Table) -> pa.Table:
        """Find which points stay : columns of PAIRS_SCHEMA -> of ``duplicates``."""
        better = pairs.select([f"better_{name}" for name in POINT]).rename_columns([*POINT])
        ends = pa.concat_tables([pairs.select([*POINT]), better])
        points = ends.group_by([*POINT]).aggregate([])
        points = points.take(pa.array(self.ranking(points)))
        row, other = (
            places_of(pairs[name], points["id"]).to_numpy().astype(np.int64)
            for name in ("id", "better_id")
        )
        return _gone(points, Pairs(row, other, pairs["cosine_similarity"].to_numpy()))


def _gone(points: pa.Table, pairs: Pairs) -> pa.Table:
    """Find which points stay, and return the others : columns of ``duplicates``.

    Parameters
    ----------
    points : id, group_id; in order of rank
    pairs : places in that order
    """
    keeper, cosine = keepers_of(pairs, len(points))
    gone = np.flatnonzero(keeper != np.arange(len(points)))
    copies, keepers = points.take(pa.array(gone)), points.take(pa.array(keeper[gone]))
    similarity = pa.array(cosine[gone], pa.float32())
    columns = (copies["id"], keepers["group_id"], keepers["id"], similarity)
    return pa.table(dict(zip(FOUND, columns, strict=True)))
