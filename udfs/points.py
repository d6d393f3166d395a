"""Points as rows (hash, embedding): read onto the grid, labelled, fetched; see ``udfs.blocks``.

A point's place in the pool's order is (block, hash, vector), block = hash mod n_blocks: content
alone, so any task finds it for the points that it holds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.grid import to_grid
from udfs.kernels.nearest import Centroids, NearestCentroids
from udfs.kernels.passes import positions
from udfs.kernels.routing import NearestLeaves, Routing, leaf_finder
from udfs.kernels.sources import LocalBlocks
from udfs.shipping import Shipped

Batches = Iterator[pa.RecordBatch]
OnBatches = Callable[[Batches], Batches]
Points = tuple[NDArray[np.int64], NDArray[np.float32]]  # (n,) hashes or positions, (n, d)
FindLeaves = NearestCentroids | NearestLeaves

ASSIGN_BYTES = 32 << 20  # of vectors labelled at once: rows are grouped by cell, so many pay
ASSIGN_SCHEMA = "id {id}, leaf_id bigint, path array<bigint>, sq_distance double"


@dataclass(frozen=True)
class PointReader:
    """Reads a batch of rows with columns hash and embedding : (n,) hashes, (n, d) on the grid.

    Attributes
    ----------
    unit : of the grid
    """

    unit: float
    n_features: int

    def __call__(self, batch: pa.RecordBatch) -> Points:
        """Read one batch."""
        return batch.column("hash").to_numpy(), self.vectors(batch)

    def vectors(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        """Read the vectors alone."""
        values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
        return to_grid(values.reshape(-1, self.n_features), self.unit)


def pool_order(
    hashes: NDArray[np.int64],
    fragments: Iterable[NDArray[np.float32]],
    n_blocks: int,
    within: NDArray[np.int32] | None = None,
) -> NDArray[np.int64]:
    """Sort points by (block, hash, vector) : (n,) indices; ``within`` groups, where given.

    Parameters
    ----------
    fragments : the vectors, (n, d) in all
    """
    groups = () if within is None else (within,)
    order = np.lexsort((hashes, hashes % n_blocks, *groups))
    ordered = hashes[order]
    if (ordered[1:] == ordered[:-1]).any():  # 64-bit hashes that collide: once in an age
        X = np.concatenate([*fragments])
        order = np.lexsort((*X.T, hashes, hashes % n_blocks, *groups))
    return order


def put_in_order(
    fragments: Sequence[NDArray[np.float32]], order: NDArray[np.int64], n_features: int
) -> NDArray[np.float32]:
    """Join fragments of a matrix and sort its rows in one go : (n, n_features)."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    X = np.empty((len(order), n_features), np.float32)
    start = 0
    for fragment in fragments:
        X[place[start : start + len(fragment)]] = fragment
        start += len(fragment)
    return X


def values_of(column: pa.Array, dtype: str) -> list[NDArray[Any]]:
    """Read binary values as arrays, in their own memory."""
    _, offsets, content = column.buffers()
    edges = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    values = np.frombuffer(content or b"", np.uint8)
    return [values[a:b].view(dtype) for a, b in pairwise(edges.tolist())]


def gathered(batches: Iterable[pa.RecordBatch], **dtypes: str) -> dict[str, list[NDArray[Any]]]:
    """Read columns of binary values from batches, each into one list of arrays.

    Parameters
    ----------
    dtypes : the columns' names, and what their values hold
    """
    values: dict[str, list[NDArray[Any]]] = {name: [] for name in dtypes}
    for batch in batches:
        for name, dtype in dtypes.items():
            values[name] += values_of(batch.column(name), dtype)
    return values


def as_binary(rows: NDArray[Any], edges: NDArray[np.integer]) -> pa.Array:
    """Cut an array's rows at the edges into binary values, in their own memory."""
    offsets = (edges * rows[:1].nbytes).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(rows)]
    return pa.Array.from_buffers(pa.binary(), len(edges) - 1, buffers)


def in_one_row(**arrays: NDArray[Any]) -> pa.RecordBatch:
    """Give arrays as one row of binary values, in their own memory."""
    values = [as_binary(array, np.array([0, len(array)])) for array in arrays.values()]
    return pa.RecordBatch.from_arrays(values, names=[*arrays])


@dataclass(frozen=True, eq=False)
class LocalPoints(LocalBlocks):
    """Points in this process's memory that know their ids.

    Attributes
    ----------
    ids : (n_rows,), in the order of X
    """

    ids: pa.Array = field(kw_only=True)


def fetched(table: pa.Table, read: PointReader, n_blocks: int, n_threads: int) -> LocalPoints:
    """Put fetched points, rows of id, hash and embedding, into memory in the pool's order."""
    batches = table.to_batches()
    hashes = table["hash"].to_numpy()
    order = pool_order(hashes, map(read.vectors, batches), n_blocks)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    edges = np.cumsum([0, *map(len, batches)])
    X = np.empty((len(order), read.n_features), np.float32)

    def put(batch: pa.RecordBatch, start: int, stop: int) -> None:
        X[place[start:stop]] = read.vectors(batch)

    with ThreadPoolExecutor(n_threads) as threads:
        list(threads.map(put, batches, edges[:-1], edges[1:]))
    where = positions(*np.unique(hashes % n_blocks, return_counts=True))
    return LocalPoints(where, X, n_blocks, n_threads, ids=table["id"].take(pa.array(order)))


def make_assign(
    read: PointReader, begin: Callable[[], FindLeaves], paths: NDArray[np.int64]
) -> OnBatches:
    """Make the function that labels every point, rows of id and embedding, with its leaf.

    Parameters
    ----------
    begin : gives one task's function from points to leaves, such as ``shipped_leaves``
    paths : (n_leaves, n_levels) int64, each leaf's nodes from level 1 up
    """

    def assign(batches: Batches) -> Batches:
        find = begin()
        for batch in _joined(batches, ASSIGN_BYTES // (4 * read.n_features)):
            yield _labelled(batch.column("id"), read.vectors(batch), find, paths)

    return assign


def _labelled(
    ids: pa.Array, X: NDArray[np.float32], find: FindLeaves, paths: NDArray[np.int64]
) -> pa.RecordBatch:
    labels, sq_dist = find(X)
    path = pa.array(paths[labels].ravel())
    offsets = np.arange(len(labels) + 1, dtype=np.int32) * paths.shape[1]
    return pa.RecordBatch.from_arrays(
        [
            ids,
            pa.array(labels, pa.int64()),
            pa.ListArray.from_arrays(pa.array(offsets), path),
            pa.array(sq_dist),
        ],
        names=["id", "leaf_id", "path", "sq_distance"],
    )


def shipped_leaves(leaves: Shipped, cells: tuple[Shipped, NDArray[np.int64]] | None) -> FindLeaves:
    """Give the function from points to leaves on a worker.

    Parameters
    ----------
    leaves : their centroids, grid coordinates
    cells : the cells' centroids and ``Routing.starts``, where level 1 is split
    """
    if cells is None:
        return leaf_finder(leaves.get())
    centroids, starts = cells
    return leaf_finder(leaves.get(), Routing(Centroids(centroids.get()), leaves.get(), starts))


def _joined(batches: Batches, n_rows: int) -> Batches:
    """Join batches until they have so many rows."""
    some: list[pa.RecordBatch] = []
    for batch in batches:
        some.append(batch)
        if sum(map(len, some)) >= n_rows:
            yield pa.concat_batches(some)
            some.clear()
    if some:
        yield pa.concat_batches(some)


def assigned(
    points: LocalPoints, begin: Callable[[], FindLeaves], paths: NDArray[np.int64]
) -> pa.Table:
    """Label points in memory, as ``make_assign``."""
    ids, n_threads = points.ids.combine_chunks(), points.n_threads
    n_rounds = -(-points.X.nbytes // (n_threads * ASSIGN_BYTES))
    edges = np.linspace(0, points.n_rows, n_threads * max(1, n_rounds) + 1, dtype=np.int64)

    def label(first: int) -> list[pa.RecordBatch]:
        find = begin()
        slices = list(pairwise(edges.tolist()))[first::n_threads]
        return [_labelled(ids[a:b], points.X[a:b], find, paths) for a, b in slices]

    with ThreadPoolExecutor(n_threads) as threads:
        parts = list(threads.map(label, range(n_threads)))
    return pa.Table.from_batches([batch for part in parts for batch in part])
