"""Nearest neighbours: of all points, searched in coarse cells, and of a few, among all points.

A row's copy in a cell can be a *member*, found by others, and can *ask* for its own neighbours.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Buffers, Centroids
from udfs.kernels.exact.neighbours import first_copies, nearest_among, smallest
from udfs.points import Batches, OnBatches, PointReader
from udfs.shipping import Shipped

IN_CELLS = "bin int, cell int, is_member boolean, asks boolean"
NEIGHBOURS_SCHEMA = "id {id}, nearest array<struct<sq_distance: double, id: {id}>>"


NEAREST_SCHEMA = "sq_dist binary"


def make_nearest(read: PointReader, few: Shipped, k: int) -> OnBatches:
    """Return a function that finds the k nearest of a task's points for each of a few vectors.

    The result is one row per task, (n_few, k) float64 squared distances, ascending.
    """

    def nearest(batches: Batches) -> Batches:
        X, buffers = few.get(), Buffers()
        closest = np.full((len(X), k), np.inf)
        for batch in batches:
            points, within = Centroids(read.vectors(batch)), closest[:, -1]
            found = nearest_among(X, points, k, within=within, buffers=buffers).sq_dist
            closest = smallest([closest, found], k)
        yield pa.RecordBatch.from_arrays([pa.array([closest.tobytes()])], names=["sq_dist"])

    return nearest


def make_send(read: PointReader, cells: Shipped, bins: NDArray[np.int32]) -> OnBatches:
    """Return a function that copies each row for its nearest cells: IN_CELLS, id, embedding.

    Its rows have the columns id, embedding, and n_member and n_asked: in how many of their nearest
    cells they are members, and ask.

    Parameters
    ----------
    cells : the cells' centroids
    bins : (n_cells,) int32, the key of each cell's bin
    """

    def send(batches: Batches) -> Batches:
        centroids, buffers = Centroids(cells.get()), Buffers()
        for batch in batches:
            X = read.vectors(batch)
            n_member, n_asked = (batch.column(c).to_numpy() for c in ("n_member", "n_asked"))
            wanted = np.minimum(np.maximum(n_member, n_asked), len(bins))
            for n in np.unique(wanted[wanted > 0]):
                mine = np.flatnonzero(wanted == n)
                cell = nearest_among(X[mine], centroids, n, buffers=buffers).labels.ravel()
                row, turn = np.repeat(mine, n), np.tile(np.arange(n), len(mine))
                yield pa.RecordBatch.from_arrays(
                    [
                        pa.array(bins[cell]),
                        pa.array(cell, pa.int32()),
                        pa.array(turn < n_member[row]),
                        pa.array(turn < n_asked[row]),
                        *(batch.column(name).take(pa.array(row)) for name in ("id", "embedding")),
                    ],
                    names=["bin", "cell", "is_member", "asks", "id", "embedding"],
                )

    return send


def make_find(read: PointReader, k: int) -> OnBatches:
    """Return a function that finds the k nearest members for those that ask, cell by cell.

    Its rows are those of ``make_send``; no row is its own neighbour. The result has a row for
    every copy that asks; ties go to the lowest id.
    """

    def find(batches: Batches) -> Batches:
        some = [batch for batch in batches if batch.num_rows]
        if not some:
            return
        table = pa.Table.from_batches(some).sort_by([("cell", "ascending"), ("id", "ascending")])
        edges = np.flatnonzero(np.diff(table["cell"].to_numpy(), prepend=-1, append=-1))
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            yield _found(table.slice(start, stop - start), read, k)

    return find


def _found(cell: pa.Table, read: PointReader, k: int) -> pa.RecordBatch:
    """Search one cell."""
    (batch,) = cell.combine_chunks().to_batches()
    X = read.vectors(batch)
    is_member, asks = (batch.column(c).to_numpy(False) for c in ("is_member", "asks"))
    is_member = np.array(is_member)
    is_member[is_member] = first_copies(X[is_member], k + 1)
    members = np.flatnonzero(is_member)
    own = np.where(is_member, np.cumsum(is_member) - 1, -1)[asks]
    found = nearest_among(X[asks], Centroids(X[members]), k, own=own)
    near = found.labels >= 0
    ids = batch.column("id")
    structs = pa.StructArray.from_arrays(
        [pa.array(found.sq_dist[near]), ids.take(pa.array(members[found.labels[near]]))],
        names=["sq_distance", "id"],
    )
    offsets = np.append(0, np.cumsum(near.sum(axis=1))).astype(np.int32)
    nearest = pa.ListArray.from_arrays(pa.array(offsets), structs)
    return pa.RecordBatch.from_arrays(
        [ids.filter(pa.array(asks)), nearest], names=["id", "nearest"]
    )
