"""A walk through a tree's nodes: depth first, and from each node to the nearest one not yet seen.

Centroids are on the grid (``exact.grid``), so that squared distances are exact whole numbers in
float64, and the walk is the same everywhere; ties go to the lowest index.
"""

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_MOST = 2048  # nodes whose mutual distances are held at once


class Nodes(NamedTuple):
    """The nodes of a level.

    Attributes
    ----------
    X : (n_nodes, n_features) float32, their centroids in grid coordinates
    parents : (n_nodes,) int64, on the level above; not looked at on the top level
    """

    X: NDArray[np.float32]
    parents: NDArray[np.int64]


def walk(levels: Sequence[Nodes]) -> NDArray[np.int64]:
    """Return the nodes of the lowest level in the order of a walk : (n_nodes,).

    The children of a node follow each other, and so do those of near nodes.

    Parameters
    ----------
    levels : levels from the lowest to the top
    """
    order = chain(levels[-1].X)
    for nodes in reversed(levels[:-1]):
        order = _through_groups(nodes.X, nodes.parents, order)
    return order


def chain(X: NDArray[np.float32], first: int | None = None) -> NDArray[np.int64]:
    """Order points so that each is followed by the nearest of those to come : (n,).

    Parameters
    ----------
    X : (n, n_features) float32, grid coordinates
    first : index to begin with; None: the point farthest from point 0
    """
    if len(X) > _MOST:
        return _through_cells(X, first)
    sq_dist = _sq_distances(X, X)
    at = int(sq_dist[0].argmax()) if first is None else first
    order = np.empty(len(X), np.int64)
    for i in range(len(X)):
        order[i] = at
        sq_dist[:, at] = np.inf
        at = int(sq_dist[at].argmin())
    return order


def _through_cells(X: NDArray[np.float32], first: int | None) -> NDArray[np.int64]:
    """Order many points by the cells around some of them, so that all distances are never held."""
    n = len(X)
    n_cells = isqrt(n)
    pivots = np.arange(n_cells) * n // n_cells
    nearest = [_sq_distances(X[a : a + _MOST], X[pivots]).argmin(1) for a in range(0, n, _MOST)]
    cells = np.concatenate(nearest)
    if (cells == cells[0]).all():  # copies of one point
        return np.arange(n)
    order = chain(X[pivots], None if first is None else int(cells[first]))
    return _through_groups(X, cells, order)


def _through_groups(
    X: NDArray[np.float32], groups: NDArray[np.int64], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Order points group by group; in each from the one nearest to the last before it."""
    members = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[members], np.arange(len(order) + 1))
    found: list[NDArray[np.int64]] = []
    for group in order:
        mine = members[starts[group] : starts[group + 1]]
        if not len(mine):
            continue
        first = int(_sq_distances(X[found[-1][-1:]], X[mine]).argmin()) if found else None
        found.append(mine[chain(X[mine], first)])
    return np.concatenate(found)


def _sq_distances(X: NDArray[np.float32], Y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return exact squared distances : (n, d), (m, d) -> (n, m) float64."""
    x, y = X.astype(np.float64), Y.astype(np.float64)
    x2, y2 = (np.einsum("ij,ij->i", z, z) for z in (x, y))
    found: NDArray[np.float64] = x2[:, None] - 2 * (x @ y.T) + y2
    return found
