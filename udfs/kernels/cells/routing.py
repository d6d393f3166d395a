"""The way to a leaf of a split level: the nearest cell first, then the nearest leaf in it."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Buffers, Centroids, NearestCentroids


@dataclass(frozen=True, eq=False)
class Routing:
    """Where the leaves of each cell are.

    Attributes
    ----------
    cells : the cells' centroids
    leaves : (n_leaves, n_features) float32, grid coordinates, cell after cell
    starts : (n_cells + 1,) int64; cell c holds leaves starts[c] to starts[c + 1]
    """

    cells: Centroids
    leaves: NDArray[np.float32]
    starts: NDArray[np.int64]

    @cached_property
    def leaves_of_cells(self) -> list[Centroids]:
        """The leaves, cell by cell; shared by all finders of a process."""
        starts = self.starts.tolist()
        return [Centroids(self.leaves[a:b]) for a, b in pairwise(starts)]

    def n_points(self, of_leaves: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the points of each cell : (n_leaves,) -> (n_cells,)."""
        counts: NDArray[np.int64] = np.diff(np.append(0, of_leaves.cumsum())[self.starts])
        return counts


class NearestLeaves:
    """Finds points' leaves via their cells; see ``NearestCentroids``."""

    def __init__(self, routing: Routing) -> None:
        self._starts = routing.starts
        buffers = Buffers()
        self._nearest_cell = NearestCentroids(routing.cells, buffers)
        self._nearest_leaf = [NearestCentroids(C, buffers) for C in routing.leaves_of_cells]

    def __call__(self, X: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Find the leaf of every row : (n, d) grid coordinates -> (n,), (n,) exact distances."""
        cells = self._nearest_cell.labels(X)
        labels, sq_dist = np.empty(len(X), np.int32), np.empty(len(X))
        order = np.argsort(cells, kind="stable")
        present, starts = np.unique(cells[order], return_index=True)
        for cell, rows in zip(present, np.split(order, starts[1:]), strict=True):
            nearest, sq_dist[rows] = self._nearest_leaf[cell](X[rows])
            labels[rows] = nearest + self._starts[cell]
        return labels, sq_dist


LeafFinder = NearestCentroids | NearestLeaves


def leaf_finder(leaves: Centroids, routing: Routing | None = None) -> LeafFinder:
    """Return the function from points to their leaves, via cells if there are any."""
    return NearestLeaves(routing) if routing else NearestCentroids(leaves)
