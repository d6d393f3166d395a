"""The graph of nearest neighbours of a hash sample, the same on every machine.

Two points are joined if one is among the other's nearest; the edge weighs as many neighbours as
they share (Jarvis and Patrick, "Clustering using a similarity measure based on shared near
neighbors", 1973), a whole number.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.exact.neighbours import ROWS, nearest_among

N_NEIGHBOURS = 15
_EDGES = 1 << 14  # edges whose neighbours are compared at once


class Edges(NamedTuple):
    """Edges of an undirected graph, each once, in order.

    Attributes
    ----------
    one, other : (n_edges,) int64, points; one < other
    weight : (n_edges,) int64, at least 1
    """

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    weight: NDArray[np.int64]


def neighbour_graph(
    points: NDArray[np.float32],
    k: int = N_NEIGHBOURS,
    *,
    run: Callable[..., Iterable[NDArray[np.int64]]] = map,
) -> Edges:
    """Return the graph of the k nearest neighbours; edges without a shared one are left out.

    Parameters
    ----------
    points : (n, n_features) grid coordinates
    run : ``map``, or that of a pool of threads
    """
    neighbours = nearest_neighbours(points, k, run=run)
    n, k = neighbours.shape
    near, far = np.repeat(np.arange(n), k), neighbours.ravel()
    keys = np.unique(np.minimum(near, far) * n + np.maximum(near, far))
    one, other = np.divmod(keys, max(n, 1))
    parts = range(0, len(keys), _EDGES)
    counts = [_n_shared(neighbours, one[i : i + _EDGES], other[i : i + _EDGES]) for i in parts]
    weight = np.concatenate([*counts, np.empty(0, np.int64)])
    return Edges(one[weight > 0], other[weight > 0], weight[weight > 0])


def nearest_neighbours(
    points: NDArray[np.float32], k: int, *, run: Callable[..., Iterable[NDArray[np.int64]]] = map
) -> NDArray[np.int64]:
    """Find every point's nearest others, ties to the lowest index : (n, min(k, n - 1)) int64."""
    k = min(k, len(points) - 1)
    if k < 1:
        return np.empty((len(points), 0), np.int64)
    centroids = Centroids(points)
    _ = centroids.folded, centroids.largest_norm  # computed once, before the threads start

    def find(start: int) -> NDArray[np.int64]:
        X = points[start : start + ROWS]
        return nearest_among(X, centroids, k, own=np.arange(start, start + len(X))).labels

    found = run(find, range(0, len(points), ROWS))
    return np.concatenate([*found])


def _n_shared(
    neighbours: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count the neighbours that the ends of edges share : (n_edges,)."""
    pairs = neighbours[one][:, :, None] == neighbours[other][:, None, :]
    return np.asarray(pairs.sum(axis=(1, 2)), np.int64)
