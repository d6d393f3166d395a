"""Points in a shuffle: sent to bins as matrices, and sorted by group on arrival.

A *group* is a block to pack or a cell to solve; a bin holds whole groups. If a cell has more
copies of its centroid than a worker has room for, they travel without hash and vector, and their
group is ~cell.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.blocks import source_batch, to_bytes
from udfs.kernels.exact.nearest import Centroids, NearestCentroids
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.passes.step import positions
from udfs.points import (
    Batches,
    OnBatches,
    PointReader,
    as_binary,
    gathered,
    pool_order,
    put_in_order,
)
from udfs.shipping import Shipped

BLOCKS_PER_BATCH = 24  # about 8 MB at d = 256: the size at which Arrow streams to Spark fastest

SCATTER_SCHEMA = "bin int, groups binary, hashes binary, vectors binary"
SOLVE_SCHEMA = "cell int, payload binary"

FindGroups = Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.int32]]


class Grouping(Protocol):
    """Maps points to groups; picklable."""

    def begin(self) -> FindGroups:
        """Return one task's function from (n,) hashes and (n, d) points to (n,) groups."""


@dataclass(frozen=True)
class ByBlock:
    """Groups points by block."""

    n_blocks: int

    def begin(self) -> FindGroups:
        """Return the function."""
        return lambda hashes, X: (hashes % self.n_blocks).astype(np.int32)


@dataclass(frozen=True)
class ByCell:
    """Groups points by nearest cell.

    Attributes
    ----------
    copied : the cells whose copies of the centroid are only counted
    """

    cells: Shipped
    copied: frozenset[int] = frozenset()

    def begin(self) -> FindGroups:
        """Return the function."""
        C = self.cells.get()
        nearest = NearestCentroids(Centroids(C))

        def find(hashes: NDArray[np.int64], X: NDArray[np.float32]) -> NDArray[np.int32]:
            groups = nearest.labels(X)
            for cell in self.copied:
                mine = np.flatnonzero(groups == cell)
                groups[mine[(X[mine] == C[cell]).all(axis=1)]] = ~cell
            return groups

        return find


def make_scatter(read: PointReader, grouping: Grouping, bins: NDArray[np.int32]) -> OnBatches:
    """Return a function that sorts points into bins, so that matrices cross the shuffle, not rows.

    Parameters
    ----------
    bins : (n_groups,) int32, the key of each group's bin
    """

    def scatter(batches: Batches) -> Batches:
        find_groups = grouping.begin()
        for batch in batches:
            if batch.num_rows == 0:
                continue
            hashes, X = read(batch)
            groups = find_groups(hashes, X)
            bin_of = bins[np.maximum(groups, ~groups)]
            order = np.argsort(bin_of, kind="stable")
            present, starts = np.unique(bin_of[order], return_index=True)
            edges = np.append(starts, len(order))
            is_whole = groups[order] >= 0
            whole, whole_edges = order[is_whole], np.append(0, np.cumsum(is_whole))[edges]
            fragments = (as_binary(array[whole], whole_edges) for array in (hashes, X))
            yield pa.RecordBatch.from_arrays(
                [pa.array(present), as_binary(groups[order], edges), *fragments],
                names=["bin", "groups", "hashes", "vectors"],
            )

    return scatter


def make_route(read: PointReader, cells: Shipped, bins: NDArray[np.int32]) -> OnBatches:
    """Return a function that adds to each row the bin of its nearest cell.

    Parameters
    ----------
    bins : (n_cells,) int32, the key of each cell's bin
    """

    def route(batches: Batches) -> Batches:
        nearest = NearestCentroids(Centroids(cells.get()))
        for batch in batches:
            bin_ = pa.array(bins[nearest.labels(read.vectors(batch))])
            names = [*batch.schema.names, "bin"]
            yield pa.RecordBatch.from_arrays([*batch.columns, bin_], names=names)

    return route


def _sorted_out(
    batches: Batches, n_features: int, n_blocks: int
) -> Iterator[tuple[int, NDArray[np.float32], int]]:
    """Gather a bin and yield its groups: points in the pool's order, and the number of copies."""
    values = gathered(batches, groups="i4", hashes="i8", vectors="f4")
    if not values["groups"]:
        return
    groups, hashes = (np.concatenate(values[name]) for name in ("groups", "hashes"))
    copied, n_copies = np.unique(~groups[groups < 0], return_counts=True)
    copies = dict(zip(copied.tolist(), n_copies.tolist(), strict=True))
    groups = groups[groups >= 0]
    fragments = [v.reshape(-1, n_features) for v in values.pop("vectors")]
    order = pool_order(hashes, fragments, n_blocks, within=groups)
    X = put_in_order(fragments, order, n_features)
    fragments.clear()
    present, starts = np.unique(groups[order], return_index=True)
    for group, (a, b) in zip(present.tolist(), pairwise([*starts, len(order)]), strict=True):
        yield group, X[a:b], copies.pop(group, 0)
    yield from ((group, X[:0], n) for group, n in copies.items())


def make_pack(n_features: int, n_blocks: int) -> OnBatches:
    """Return a function that packs a bin's points into blocks, rows of SOURCE_SCHEMA."""

    def pack(batches: Batches) -> Batches:
        blocks = _sorted_out(batches, n_features, n_blocks)
        while some := list(islice(blocks, BLOCKS_PER_BATCH)):
            block_ids, parts, _ = zip(*some, strict=True)
            where = positions(np.array(block_ids), np.array([len(X) for X in parts]))
            yield source_batch(where, np.concatenate(parts))

    return pack


def make_solve(problem: Any, n_features: int, n_blocks: int) -> OnBatches:
    """Return a function that solves a bin's cells, one by one.

    Parameters
    ----------
    problem : a ``CellProblem``, without its centroids
    """

    def solve(batches: Batches) -> Batches:
        for cell, X, n_copies in _sorted_out(batches, n_features, n_blocks):
            payload = to_bytes(problem.solve(cell, blocks_of(X), n_copies))
            yield pa.RecordBatch.from_arrays(
                [pa.array([cell], pa.int32()), pa.array([payload], pa.binary())],
                names=["cell", "payload"],
            )

    return solve
