"""Points as rows (hash, embedding): read onto the grid, labelled, fetched; see ``udfs.blocks``.

A point's place in the pool's order is (block, hash, vector), block = hash mod n_blocks: content
alone, so any task finds it for the points that it holds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.grid import to_grid
from udfs.kernels.nearest import Centroids, NearestCentroids
from udfs.kernels.passes import positions
from udfs.kernels.routing import NearestLeaves, Routing
from udfs.kernels.sources import LocalBlocks
from udfs.shipping import Shipped

Batches = Iterator[pa.RecordBatch]
OnBatches = Callable[[Batches], Batches]
Points = tuple[NDArray[np.int64], NDArray[np.float32]]  # (n,) hashes or positions, (n, d)

FETCH_SCHEMA = "hashes binary, vectors binary"
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
    fragments: Sequence[NDArray[np.float32]],
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
        X = np.concatenate(fragments)
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


def make_fetch(read: PointReader) -> OnBatches:
    """Make the function that turns batches of points into single rows: cheap to collect."""

    def fetch(batches: Batches) -> Batches:
        for batch in batches:
            hashes, X = read(batch)
            yield in_one_row(hashes=hashes, vectors=X)

    return fetch


def fetched(table: pa.Table, n_features: int, n_blocks: int, n_threads: int) -> LocalBlocks:
    """Put fetched points into blocks in memory, in the pool's order."""
    values = gathered(table.to_batches(), hashes="i8", vectors="f4")
    hashes = np.concatenate([np.empty(0, np.int64), *values["hashes"]])
    fragments = [v.reshape(-1, n_features) for v in values["vectors"]]
    order = pool_order(hashes, fragments, n_blocks)
    X = put_in_order(fragments, order, n_features)
    blocks, n_rows = np.unique(hashes % n_blocks, return_counts=True)
    return LocalBlocks(positions(blocks, n_rows), X, n_blocks, n_threads)


def make_assign(
    read: PointReader,
    leaves: Shipped,
    paths: NDArray[np.int64],
    cells: tuple[Shipped, NDArray[np.int64]] | None = None,
) -> OnBatches:
    """Make the function that labels every point with its leaf.

    Parameters
    ----------
    leaves : the leaves' centroids, grid coordinates
    paths : (n_leaves, n_levels) int64, each leaf's nodes from level 1 up
    cells : the cells' centroids and ``Routing.starts``, where level 1 is split
    """

    def assign(batches: Batches) -> Batches:
        nearest = _nearest_leaf(leaves, cells)
        for batch in batches:
            labels, sq_dist = nearest(read.vectors(batch))
            path = pa.array(paths[labels].ravel())
            offsets = np.arange(len(labels) + 1, dtype=np.int32) * paths.shape[1]
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("id"),
                    pa.array(labels, pa.int64()),
                    pa.ListArray.from_arrays(pa.array(offsets), path),
                    pa.array(sq_dist),
                ],
                names=["id", "leaf_id", "path", "sq_distance"],
            )

    return assign


def _nearest_leaf(
    leaves: Shipped, cells: tuple[Shipped, NDArray[np.int64]] | None
) -> NearestCentroids | NearestLeaves:
    if cells is None:
        return NearestCentroids(Centroids(leaves.get()))
    centroids, starts = cells
    return NearestLeaves(Routing(Centroids(centroids.get()), leaves.get(), starts))
