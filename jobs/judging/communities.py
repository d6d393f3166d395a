"""Communities: groups of points that the neighbour graph joins more closely than chance.

They follow where the data is dense, whatever their breadth, and know nothing of the tree: an
independent view of what its concepts may be. Found by the Leiden algorithm on modularity (Traag,
Waltman and van Eck, "From Louvain to Leiden", 2019).
"""

from concurrent.futures import ThreadPoolExecutor

import graspologic_native
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from udfs.kernels.judging.neighbours import neighbour_graph

RESOLUTION = 1.0  # resolution of modularity; 1 is its definition
MIN_POINTS = 3  # smaller communities are left out
_ITERATIONS = 2


def find_communities(
    points: NDArray[np.float32], *, seed: int, n_threads: int
) -> NDArray[np.int64]:
    """Return the community of every point of a hash sample : (n,), -1 if it is in none.

    Parameters
    ----------
    points : (n, n_features) grid coordinates; copies count once
    """
    distinct, copy_of = np.unique(points, axis=0, return_inverse=True)
    with threadpool_limits(1), ThreadPoolExecutor(n_threads) as threads:
        edges = neighbour_graph(distinct, run=threads.map)
    found = np.full(len(distinct), -1)
    if len(edges.one):
        listed = [(str(a), str(b), float(w)) for a, b, w in zip(*edges, strict=True)]
        _, communities = graspologic_native.leiden(
            listed, resolution=RESOLUTION, iterations=_ITERATIONS, seed=seed % 2**32
        )
        found[[int(point) for point in communities]] = [*communities.values()]
    labels = found[copy_of.ravel()]
    sizes = np.bincount(labels[labels >= 0])
    kept = np.flatnonzero(sizes >= MIN_POINTS)
    if not len(kept):  # a few points, or unrelated ones: all in one community
        return np.zeros(len(points), np.int64)
    number = np.full(len(sizes) + 1, -1)  # the last is for points in no community
    number[kept] = np.arange(len(kept))
    return np.asarray(number[labels])
