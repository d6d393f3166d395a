"""Ranks for diverse draws: the points of one leaf at a time, on executors."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from udfs.kernels.sampling.diverse import farthest_first
from udfs.points import PointReader

SPREAD_SCHEMA = "id {id}, leaf_id bigint, stratum int, place bigint"
COMPARED_ROWS = 20_000  # of a leaf; further rows are drawn after these, by hash


def make_spread(read: PointReader) -> Callable[[pa.Table], pa.Table]:
    """Return a function that ranks the points of one leaf and stratum, for applyInArrow.

    Its rows are id, leaf_id, stratum, sq_distance, hash, embedding, n_wanted, and is_included if
    some points must come first; the first of the others is the one closest to the centroid.
    """

    def spread(rows: pa.Table) -> pa.Table:
        order_by = [("hash", "ascending"), ("id", "ascending")]
        if "is_included" in rows.column_names:
            order_by.insert(0, ("is_included", "descending"))
        rows = rows.sort_by(order_by).combine_chunks()
        n = min(len(rows), COMPARED_ROWS)
        (compared,) = rows.slice(0, n).select(["embedding"]).combine_chunks().to_batches()
        n_drawn = min(n, rows["n_wanted"][0].as_py())
        order = farthest_first(read.vectors(compared), n_drawn, _first(rows.slice(0, n)))
        place = np.empty(len(rows), np.int64)
        rest = np.setdiff1d(np.arange(len(rows)), order)
        place[order], place[rest] = np.arange(n_drawn), np.arange(n_drawn, len(rows))
        return rows.select(["id", "leaf_id", "stratum"]).append_column("place", pa.array(place))

    return spread


def _first(rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the rows to begin with : (n_first,) indices."""
    if "is_included" in rows.column_names:
        included = np.flatnonzero(rows["is_included"].to_numpy())
        if len(included):
            return included.astype(np.int64)
    return np.array([np.argmin(rows["sq_distance"].to_numpy())], np.int64)
