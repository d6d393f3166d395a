"""The graph of nearest neighbours of a hash sample, the same on every machine.

Two points are joined if one is among the other's nearest; the edge weighs as many neighbours as
they share (Jarvis and Patrick, "Clustering using a similarity measure based on shared near
neighbors", 1973), a whole number. As in ``kernels.exact.nearest``, a float32 GEMM proposes and
exact float64 distances decide.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Buffers, Centroids, error_bound, scores_of, sq_distances

N_NEIGHBOURS = 15
_ROWS = 256  # whose scores are held at once
_EDGES = 1 << 14  # whose neighbours are compared at once


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
    run: Callable[..., object] = map,
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
    points: NDArray[np.float32], k: int, *, run: Callable[..., object] = map
) -> NDArray[np.int64]:
    """Find every point's nearest others, ties to the lowest index : (n, min(k, n - 1)) int64."""
    k = min(k, len(points) - 1)
    if k < 1:
        return np.empty((len(points), 0), np.int64)
    centroids = Centroids(points)
    _ = centroids.folded, centroids.largest_norm  # once, before the threads
    found = run(lambda i: _of_rows(centroids, i, k), range(0, len(points), _ROWS))
    return np.concatenate([*found])  # type: ignore[misc]


def _of_rows(centroids: Centroids, start: int, k: int) -> NDArray[np.int64]:
    """Find the neighbours of _ROWS points : (n_rows, k)."""
    points = centroids.vectors
    X = points[start : start + _ROWS]
    rows = np.arange(len(X))
    scores = np.hstack([part.copy() for part in scores_of(X, centroids, Buffers())])
    scores[rows, start + rows] = -np.inf
    # all of the true nearest score within two errors of the k-th best score
    kth = np.partition(scores, -k, axis=1)[:, -k]
    row, candidate = np.nonzero(scores >= (kth - 2 * error_bound(X, centroids))[:, None])
    pieces = (slice(i, i + _EDGES) for i in range(0, len(row), _EDGES))
    sq_dist = np.concatenate([sq_distances(X[row[s]], points[candidate[s]]) for s in pieces])
    order = np.lexsort((candidate, sq_dist, row))
    first = np.searchsorted(row[order], rows)  # each row's nearest
    return np.asarray(candidate[order][first[:, None] + np.arange(k)], np.int64)


def _n_shared(
    neighbours: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count the neighbours that the ends of edges share : (n_edges,)."""
    pairs = neighbours[one][:, :, None] == neighbours[other][:, None, :]
    return np.asarray(pairs.sum(axis=(1, 2)), np.int64)
