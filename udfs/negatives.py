"""Batches of points kept apart, on the executors: a run of the walk at a time.

Spark shape map: the rows of one run of the order (id, cluster_id, place, content BINARY, embedding
ARRAY<FLOAT> of n_features) -> rows of PLACED_SCHEMA.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from udfs.kernels.negatives.placing import NOWHERE, Apart, fill, pairs_above, place_all, positions
from udfs.near import DirectionReader

PLACED_SCHEMA = "run bigint, batch bigint, n_rows bigint, position int, id {id}, cluster_id bigint"


@dataclass(frozen=True)
class Guard:
    """Which points must not share a batch.

    Attributes
    ----------
    size : rows of a batch
    read : the vectors
    max_cosine : pairs above it are kept apart; None if none are for being similar
    by_content : whether points of the same content are kept apart
    """

    size: int
    read: DirectionReader
    max_cosine: float | None
    by_content: bool

    @property
    def columns(self) -> list[str]:
        """The columns of points that it looks at."""
        wanted = {"embedding": self.max_cosine is not None, "content_hash": self.by_content}
        return [name for name, is_wanted in wanted.items() if is_wanted]


def make_place(guard: Guard, *, is_last: bool) -> Callable[[pa.Table], pa.Table]:
    """Return a function that places the rows of a run in batches, for applyInArrow.

    Its rows are run, place, id, cluster_id and the guard's columns.

    Parameters
    ----------
    is_last : every row finds a batch, if need be a smaller one; otherwise the batch of a row that
        is in no whole one is null
    """

    def place(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by("place").combine_chunks()
        batch = (place_all if is_last else fill)(len(rows), _apart(rows, guard), guard.size)
        counts = np.bincount(batch - NOWHERE)
        made = [
            pa.array(batch, mask=batch == NOWHERE),
            pa.array(counts[batch - NOWHERE]),
            pa.array(positions(batch)),
        ]
        columns = [rows["run"], *made, rows["id"], rows["cluster_id"]]
        return pa.table(columns, names=["run", "batch", "n_rows", "position", "id", "cluster_id"])

    return place


def _apart(rows: pa.Table, guard: Guard) -> Apart:
    """Return the pairs of rows that must not share a batch."""
    one, other = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    if guard.by_content:
        copies = same_values(rows["content_hash"])
        one.append(copies.one)
        other.append(copies.other)
    if guard.max_cosine is not None:
        (points,) = rows.select(["embedding"]).to_batches()
        similar = pairs_above(guard.read(points), guard.max_cosine)
        one.append(similar.one)
        other.append(similar.other)
    return Apart(np.concatenate(one), np.concatenate(other))


def same_values(column: pa.ChunkedArray) -> Apart:
    """Return the pairs of rows that have the same value."""
    codes = column.combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    n_before = np.arange(len(order)) - np.searchsorted(codes[order], codes[order])
    at = np.repeat(np.arange(len(order)), n_before)
    back = np.arange(len(at)) - np.repeat(np.cumsum(n_before) - n_before, n_before) + 1
    return Apart(order[at], order[at - back])
