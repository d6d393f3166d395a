"""Two views of a hash sample that samples are judged in: nodes of clusterings, and communities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.judging.communities import find_communities
from udfs.kernels.judging.coverage import cluster_independently


@dataclass(frozen=True)
class Views:
    """Labels of the points of a hash sample.

    Nodes are small and many, so that they tell whether every region is reached. Communities are as
    broad as the concepts that the points lie in, so that they tell whether one fills the sample.

    Attributes
    ----------
    nodes : (n,) of every clustering
    communities : (n,), -1 for points in none; None if all points are in one
    """

    nodes: Sequence[NDArray[np.integer]]
    communities: NDArray[np.int64] | None


def views_of(points: NDArray[np.float32], seeds: Sequence[int], *, n_threads: int) -> Views:
    """Cluster the points by k-means, once a seed, and find their communities.

    Parameters
    ----------
    points : (n, n_features) float32, grid coordinates
    """
    nodes = [cluster_independently(points, seed=s, n_threads=n_threads).labels for s in seeds]
    communities = find_communities(points, seed=seeds[0], n_threads=n_threads)
    return Views(nodes, communities if communities.max(initial=0) > 0 else None)
