"""Views of a hash sample that samples are judged in: nodes of clusterings, and communities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.judging.communities import find_communities
from udfs.kernels.judging.coverage import cluster_independently

View = Sequence[NDArray[np.integer]]  # labels of the points, one array a clustering; -1 is none


def views_of(points: NDArray[np.float32], seeds: Sequence[int], *, n_threads: int) -> list[View]:
    """Return clusterings by k-means, one a seed; then communities, if the points have several.

    Nodes are small and many, so that they tell whether every region is reached. Communities are as
    broad as the concepts that the points lie in, so that they tell whether one fills the sample.

    Parameters
    ----------
    points : (n, n_features) float32, grid coordinates
    """
    nodes = [cluster_independently(points, seed=s, n_threads=n_threads).labels for s in seeds]
    communities = find_communities(points, seed=seeds[0], n_threads=n_threads)
    return [nodes, [communities]] if communities.max(initial=0) > 0 else [nodes]
