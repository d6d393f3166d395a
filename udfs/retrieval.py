"""Retrieval: the nearest points of a few seeds by cosine, exact, among all points of a task.

Spark shape map: rows of id and embedding, ARRAY<FLOAT> of n_features -> rows of RETRIEVED_SCHEMA,
at most k for each seed and task.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Buffers, Centroids
from udfs.kernels.exact.neighbours import nearest_among
from udfs.near import DirectionReader
from udfs.points import Batches, OnBatches
from udfs.shipping import Shipped

RETRIEVED_SCHEMA = "seed int, sq_distance double, id {id}"


def make_retrieve(read: DirectionReader, seeds: Shipped, k: int) -> OnBatches:
    """Return a function that finds the k nearest of a task's points for each seed.

    The distance is that of directions, in grid units; ties go to the lowest id.

    Parameters
    ----------
    seeds : (n_seeds, n_features) float32 directions on the grid
    """

    def retrieve(batches: Batches) -> Batches:
        X, buffers, best = seeds.get(), Buffers(), list[pa.Table]()
        within = np.full(len(X), np.inf)  # the k-th distance so far
        for some in batches:
            if some.num_rows == 0:
                continue
            (batch,) = pa.Table.from_batches([some]).sort_by("id").combine_chunks().to_batches()
            points = Centroids(read(batch))
            found = nearest_among(X, points, k, within=within, buffers=buffers)
            seed, rank = np.nonzero(found.labels >= 0)
            near = {
                "seed": pa.array(seed, pa.int32()),
                "sq_distance": pa.array(found.sq_dist[seed, rank]),
                "id": batch.column("id").take(pa.array(found.labels[seed, rank])),
            }
            best = [first_of(pa.concat_tables([*best, pa.table(near)]), k)]
            seed, sq_distance = (best[0][name].to_numpy() for name in ("seed", "sq_distance"))
            is_last = _ranks(seed) == k - 1
            within[seed[is_last]] = sq_distance[is_last]
        for table in best:
            yield from table.combine_chunks().to_batches()

    return retrieve


def first_of(found: pa.Table, k: int) -> pa.Table:
    """Return the k nearest of each seed : columns of RETRIEVED_SCHEMA."""
    order = [(name, "ascending") for name in ("seed", "sq_distance", "id")]
    found = found.sort_by(order)
    return found.filter(pa.array(_ranks(found["seed"].to_numpy()) < k))


def _ranks(seed: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return each row's place among those of its seed, which follow one another : (n,)."""
    return np.arange(len(seed)) - np.searchsorted(seed, seed)
