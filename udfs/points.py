"""Points as rows (hash, embedding): read onto the grid, labelled, fetched; see ``udfs.blocks``.

A point's place in the pool's order is (block, hash, vector), block = hash mod n_blocks: content
alone, so any task finds it for the points that it holds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    X: NDArray[np.float32],
    n_blocks: int,
    within: NDArray[np.int32] | None = None,
) -> NDArray[np.int64]:
    """Sort points by (block, hash, vector) : (n,) indices; ``within`` groups, where given."""
    groups = () if within is None else (within,)
    order = np.lexsort((hashes, hashes % n_blocks, *groups))
    ordered = hashes[order]
    if (ordered[1:] == ordered[:-1]).any():  # 64-bit hashes that collide: once in an age
        order = np.lexsort((*X.T, hashes, hashes % n_blocks, *groups))
    return order


def make_fetch(read: PointReader) -> OnBatches:
    """Make the function that turns batches of points into single rows: cheap to collect."""

    def fetch(batches: Batches) -> Batches:
        for batch in batches:
            hashes, X = read(batch)
            yield pa.RecordBatch.from_arrays(
                [pa.array([hashes.tobytes()]), pa.array([X.tobytes()])],
                names=["hashes", "vectors"],
            )

    return fetch


def fetched(table: pa.Table, n_features: int, n_blocks: int, n_threads: int) -> LocalBlocks:
    """Put fetched points into blocks in memory, in the pool's order."""
    hashes = _joined(table["hashes"], "i8")
    X = _joined(table["vectors"], "f4").reshape(-1, n_features)
    order = pool_order(hashes, X, n_blocks)
    blocks, n_rows = np.unique(hashes % n_blocks, return_counts=True)
    return LocalBlocks(positions(blocks, n_rows), X[order], n_blocks, n_threads)


def _joined(column: pa.ChunkedArray, dtype: str) -> NDArray[Any]:
    parts = [np.frombuffer(value.as_buffer(), dtype) for value in column]
    return np.concatenate([np.empty(0, dtype), *parts])


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
