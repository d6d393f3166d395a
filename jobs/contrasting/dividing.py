"""Clusters of points by the base: found by k-means or given by the tree, tiny ones merged."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.config.errors import InputError
from jobs.spark.host import n_threads
from udfs.kernels.contrast.encoders import Codes
from udfs.kernels.contrast.moments import Moments, total
from udfs.kernels.exact.nearest import sq_distances
from udfs.kernels.kmeans.iterations import KMeansParams
from udfs.kernels.kmeans.resampling import fit_level
from udfs.kernels.kmeans.start import TooFewDistinct
from udfs.kernels.passes.sources import blocks_of

LEAST_POINTS = 2  # in a cluster: a single point has no negatives


class Merge(NamedTuple):
    """A tiny cluster, its points, and the cluster that they joined, by their original numbers."""

    cluster: int
    n_points: int
    into: int


class Merged(NamedTuple):
    """Clusters after tiny ones were merged.

    Attributes
    ----------
    moments : moments of the clusters that are left
    labels : (n_clusters,) int64, the remaining cluster that each has become
    left : the former numbers of the remaining clusters
    merges : merges, in the order in which they happened
    """

    moments: list[Moments]
    labels: NDArray[np.int64]
    left: list[int]
    merges: list[Merge]


def centroids_of(codes: Codes, n_clusters: int, *, seed: int) -> Codes:
    """Cluster codes of a sample by k-means : (n, n_components) -> (n_clusters, n_components).

    Raises
    ------
    InputError
        If there are fewer distinct codes.
    """
    params = KMeansParams(algorithm="lloyd")
    try:
        source = blocks_of(codes, n_threads())
        return fit_level(source, n_clusters, params, rounds=0, points=None, seed=seed)
    except TooFewDistinct as error:
        raise InputError(
            f"contrast.n_clusters={n_clusters}, but fewer points differ in their views; want a "
            f"smaller number, or views that differ: {error}"
        ) from error


def merge_tiny(moments: Sequence[Moments], centroids: Codes, min_share: float) -> Merged:
    """Merge clusters of less than a share of the points into the nearest, smallest first.

    Among clusters of one size the last goes first; the nearest is by exact distance of centroids,
    ties to the first. Merged points take the centroid of the cluster that they join.

    Parameters
    ----------
    moments : moments of each cluster
    centroids : (n_clusters, n_components) of the same clusters
    """
    sizes = [each.n for each in moments]
    least = max(LEAST_POINTS, min_share * sum(sizes))
    into, alive, merges = list(range(len(sizes))), list(range(len(sizes))), []
    while len(alive) > 1:
        smallest = min(alive, key=lambda k: (sizes[k], -k))
        if sizes[smallest] >= least:
            break
        alive.remove(smallest)
        others = centroids[alive]
        distances = sq_distances(np.broadcast_to(centroids[smallest], others.shape), others)
        nearest = alive[int(np.argmin(distances))]
        merges.append(Merge(smallest, sizes[smallest], nearest))
        sizes[nearest] += sizes[smallest]
        into = [nearest if k == smallest else k for k in into]
    labels = np.array([alive.index(k) for k in into])
    joined = [
        total([moments[k] for k in np.flatnonzero(labels == i).tolist()]) for i in range(len(alive))
    ]
    return Merged(joined, labels, alive, merges)
