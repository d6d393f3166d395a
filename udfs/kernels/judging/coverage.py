"""Coverage: how close the pool lies to a sample, on a clustering that the tree never saw.

A hash sample of the pool is clustered independently; coverage is the mean over its nodes of the
mean distance from a node's points to the nearest sampled point, so that every region counts the
same, dense or thin.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.judging.measures import effective_number, exact_mean, kl_to_uniform
from udfs.kernels.kmeans.iterations import KMeansParams
from udfs.kernels.kmeans.resampling import fit_level
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.passes.steps.members import LabelPoints

MAX_NODES = (
    1000  # fewer misjudge: with 300, a KL of .155 passed for the best when .026 was possible
)
ROWS_PER_NODE = 10
RESAMPLING_ROUNDS = 3
_MAX_ITER = 20
MAX_COUNTED = 10_000  # sampled points whose communities are counted


@dataclass(frozen=True)
class IndependentNodes:
    """An independent clustering of a hash sample of the pool.

    Attributes
    ----------
    points : (n, n_features) float32, grid coordinates
    labels : (n,) nodes of the points
    centroids : centroids of the nodes
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int32]
    centroids: Centroids

    @property
    def n_nodes(self) -> int:
        """Nodes of the clustering."""
        return len(self.centroids.vectors)


def cluster_independently(
    points: NDArray[np.float32], *, seed: int, n_threads: int, max_nodes: int = MAX_NODES
) -> IndependentNodes:
    """Cluster a hash sample with a seed of its own : (n, n_features) grid coordinates."""
    source = blocks_of(points, n_threads)
    n_distinct = len(np.unique(points, axis=0))
    n_nodes = max(1, min(max_nodes, len(points) // ROWS_PER_NODE, n_distinct))
    params = KMeansParams(algorithm="lloyd", max_iter=_MAX_ITER)
    C = fit_level(source, n_nodes, params, rounds=RESAMPLING_ROUNDS, points=None, seed=seed)
    centroids = Centroids(C)
    return IndependentNodes(points, source.reduce(LabelPoints(centroids))["labels"], centroids)


def measure_coverage(
    nodes: IndependentNodes,
    sampled: NDArray[np.float32],
    distances: NDArray[np.float64],
    *,
    n_threads: int,
) -> dict[str, float]:
    """Measure a sample over independent nodes.

    Parameters
    ----------
    sampled : (m, n_features) grid coordinates, m >= 1
    distances : (n,) from the nodes' points to the nearest sampled one

    Returns
    -------
    coverage_distance (in units of the distances), effective_nodes, nodes_reached_share
    """
    distance = mean_by_label(nodes.labels, distances)
    reached = blocks_of(sampled, n_threads).reduce(LabelPoints(nodes.centroids))["labels"]
    counts = np.bincount(reached, minlength=nodes.n_nodes)
    return {
        "coverage_distance": exact_mean(distance),
        "effective_nodes": effective_number(counts),
        "nodes_reached_share": float((counts > 0).mean()),
    }


def measure_communities(
    points: NDArray[np.float32],
    labels: NDArray[np.integer],
    sampled: NDArray[np.float32],
    distances: NDArray[np.float64],
    *,
    n_threads: int,
) -> dict[str, float]:
    """Measure a sample over communities.

    Parameters
    ----------
    points : (n, n_features) grid coordinates
    labels : (n,) communities of the points; -1 for points in none
    sampled : (m, n_features) grid coordinates; each counts for the community of its nearest point
    distances : (n,) from the points to the nearest sampled one

    Returns
    -------
    coverage_distance (in units of the distances), effective_communities, kl_uniform
    """
    distance = mean_by_label(labels, distances)
    some = blocks_of(sampled[:MAX_COUNTED], n_threads)
    of_sampled = labels[some.reduce(LabelPoints(Centroids(points)))["labels"]]
    counts = np.bincount(of_sampled[of_sampled >= 0], minlength=labels.max() + 1)
    return {
        "coverage_distance": exact_mean(distance),
        "effective_communities": effective_number(counts),
        "kl_uniform": kl_to_uniform(counts),
    }


def distances_to(
    points: NDArray[np.float32], sampled: NDArray[np.float32], *, n_threads: int
) -> NDArray[np.float64]:
    """Return every point's distance to the nearest sampled one : (n,), grid units."""
    found = blocks_of(points, n_threads).reduce(LabelPoints(Centroids(sampled)))
    return np.asarray(np.sqrt(found["sq_dist"]))


def mean_by_label(
    labels: NDArray[np.integer], distances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average over the points of each label but -1 : (n,), (n,) -> (n labels that occur,)."""
    members = np.bincount(labels + 1)[1:]
    summed = np.bincount(labels + 1, weights=distances)[1:]
    return np.asarray(summed[members > 0] / members[members > 0])
