"""Balance: KL over the planted concepts of a sample drawn from a tree over a rival's clusters.

The upper levels, quotas and draws are Evenlake's own for every rival, so that only level 1 differs.
"""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.clustering.level import Level
from jobs.clustering.tree import grow_tree
from jobs.sections.cluster import ClusterConfig
from tests.benchmarks.machine import n_cores
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.judging.measures import kl_to_uniform
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.sampling.allocation import Sharing, TreeLevel, quotas_down

N_PICKS = 5000  # five per concept
UPPER = {1000: 5, 100: 3}  # nodes of a level: members kept per node in its resampling
ROUNDS = 10  # of resampling
SEEDS = range(3)  # of the upper levels and draws


def sampled_kl(
    C: NDArray[np.floating], labels: NDArray[np.int64], concepts: NDArray[np.int64]
) -> float:
    """Return the KL to uniform of N_PICKS points, the mean over seeds.

    Parameters
    ----------
    C : (n_clusters, n_features), the rival's centroids of points of unit norm
    labels : (n_points,) the centroid that the rival assigned each point to
    concepts : (n_points,)
    """
    filled, leaves, n_points = np.unique(labels, return_inverse=True, return_counts=True)
    below = _level_1(C[filled], n_points)
    with threadpool_limits(1):
        drawn = [draw(_grow(below, seed), leaves, N_PICKS, seed) for seed in SEEDS]
    return float(np.mean([_kl(concepts, one) for one in drawn]))


def uniform_kl(concepts: NDArray[np.int64]) -> float:
    """Return the same for as many points drawn uniformly."""
    orders = [np.random.default_rng(seed).permutation(len(concepts)) for seed in SEEDS]
    return float(np.mean([_kl(concepts, order[:N_PICKS]) for order in orders]))


def draw(
    levels: list[Level], leaves: NDArray[np.integer], target_size: int, seed: int
) -> NDArray[np.intp]:
    """Draw a balanced sample, at random within the leaves : (n_sampled,) points."""
    tree = [TreeLevel(np.maximum(t.parents, 0), t.n_leaves, t.n_points) for t in levels]
    quotas = quotas_down(tree, target_size, Sharing(seed))[0]
    order = np.lexsort((np.random.default_rng(seed).random(len(leaves)), leaves))
    first = np.searchsorted(leaves[order], np.arange(len(quotas)))
    rank = np.arange(len(order)) - first[leaves[order]]
    return order[rank < quotas[leaves[order]]]


def _level_1(C: NDArray[np.floating], n_points: NDArray[np.int64]) -> Level:
    """Make clusters the leaves of a tree; fields that upper levels do not read stay zero."""
    return Level(
        centroids=to_grid(C, grid_unit(1.0)),
        parents=np.full(len(C), -1),
        n_children=n_points,
        n_leaves=np.ones(len(C), np.int64),
        n_points=n_points,
        inertia=np.zeros((len(C), 2), np.int64),
        sq_radius=np.zeros(len(C)),
    )


def _grow(below: Level, seed: int) -> list[Level]:
    """Solve the upper levels that are smaller than the one below."""
    n_leaves = len(below.centroids)
    upper = {n_nodes: kept for n_nodes, kept in UPPER.items() if n_nodes < n_leaves}
    resampling = {"rounds": [0] + [ROUNDS] * len(upper), "points": [1, *upper.values()]}
    return grow_tree(
        blocks_of(below.centroids),
        ClusterConfig.model_validate({"levels": [n_leaves, *upper], "resampling": resampling}),
        seed=seed,
        n_threads=n_cores(),
        on_iteration=lambda *_: None,
        known=[below],
    )


def _kl(concepts: NDArray[np.int64], drawn: NDArray[np.intp]) -> float:
    return kl_to_uniform(np.bincount(concepts[drawn], minlength=concepts.max() + 1))
