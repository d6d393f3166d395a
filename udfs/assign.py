"""Label points with their leaves, on executors or on the driver: rows of ``assignments``."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.cells.routing import LeafFinder, NearestLeaves, Routing, leaf_finder
from udfs.kernels.exact.nearest import Centroids
from udfs.points import Batches, LocalPoints, OnBatches, PointReader
from udfs.shipping import Shipped

ASSIGN_SCHEMA = "id {id}, leaf_id bigint, path array<bigint>, sq_distance double"
ASSIGN_BYTES = 32 << 20  # vectors labelled at once: rows are grouped by cell, so more is faster
_MOST_ROWS = 1 << 16  # rows at once, however short


def make_assign(read: PointReader, begin: Callable[[], LeafFinder], paths: Shipped) -> OnBatches:
    """Return a function that labels every point, rows of id and embedding, with its leaf.

    Parameters
    ----------
    begin : returns one task's function from points to leaves, such as ``shipped_leaves``
    paths : (n_leaves, n_levels) int64, each leaf's nodes from level 1 up
    """

    def assign(batches: Batches) -> Batches:
        find, path_of = begin(), paths.get()
        for batch in _joined(batches, _rows_at_once(read.n_features)):
            yield _labelled(batch.column("id"), read.vectors(batch), find, path_of)

    return assign


def _labelled(
    ids: pa.Array, X: NDArray[np.float32], find: LeafFinder, paths: NDArray[np.int64]
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


def shipped_leaves(leaves: Shipped, cells: tuple[Shipped, NDArray[np.int64]] | None) -> LeafFinder:
    """Return the function from points to leaves on a worker.

    Parameters
    ----------
    leaves : the leaves' centroids, in grid coordinates
    cells : the cells' centroids, and (n_cells + 1,) ``Routing.starts``, if level 1 is split
    """
    if cells is None:
        return leaf_finder(Centroids(leaves.get()))
    centroids, starts = cells
    return NearestLeaves(Routing(Centroids(centroids.get()), leaves.get(), starts))


def _joined(batches: Batches, n_rows: int) -> Batches:
    """Join batches until each has n_rows rows or more; the last may have fewer."""
    some, n_some = list[pa.RecordBatch](), 0
    for batch in batches:
        some.append(batch)
        n_some += len(batch)
        if n_some >= n_rows:
            yield pa.concat_batches(some)
            some, n_some = [], 0
    if some:
        yield pa.concat_batches(some)


def assigned(
    points: LocalPoints, begin: Callable[[], LeafFinder], paths: NDArray[np.int64]
) -> pa.Table:
    """Label points in memory as ``make_assign`` does; paths (n_leaves, n_levels) int64."""
    ids, n_threads = points.ids, points.n_threads
    n_rounds = -(-points.n_rows // (n_threads * _rows_at_once(points.n_features)))
    edges = np.linspace(0, points.n_rows, n_threads * n_rounds + 1, dtype=np.int64)
    slices = list(pairwise(edges.tolist()))

    def label(first: int) -> list[pa.RecordBatch]:
        find = begin()
        mine = slices[first::n_threads]
        return [_labelled(ids[a:b], points.X[a:b], find, paths) for a, b in mine]

    with ThreadPoolExecutor(n_threads) as threads:
        parts = list(threads.map(label, range(n_threads)))
    return pa.Table.from_batches([batch for round_ in zip(*parts, strict=True) for batch in round_])


def _rows_at_once(n_features: int) -> int:
    return max(1, min(_MOST_ROWS, ASSIGN_BYTES // (4 * n_features)))
