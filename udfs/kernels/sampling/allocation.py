"""Quotas of a whole tree: a sample's size, shared out from the top level down to the leaves.

Source: arXiv 2405.15613, section 3.4, generalised with weights in ``udfs.kernels.sampling.quotas``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.sampling.quotas import (
    admission_order,
    divide_quotas,
    rounded,
    share_weights,
    units_below,
)


@dataclass(frozen=True)
class TreeLevel:
    """What quotas need to know of a level, columns over its nodes : (n_nodes,) int64 each.

    Attributes
    ----------
    parents : 0 at the top, below the one root
    minima, maxima : the least and the most rows drawn below each node, see ``bounded``; by default
        none, and all there are
    factors : (n_nodes,) float64 > 0, of the nodes' weights, see ``rounded``; by default 1
    """

    parents: NDArray[np.int64]
    n_leaves: NDArray[np.int64]
    n_points: NDArray[np.int64]
    minima: NDArray[np.int64] | None = None
    maxima: NDArray[np.int64] | None = None
    factors: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Sharing:
    """How every node shares its quota among its children.

    Attributes
    ----------
    leaves, points : powers of the numbers of leaves and points below a child, in its weight
    replicas : how often one point may be drawn
    """

    seed: int
    leaves: float = 0.0
    points: float = 0.0
    replicas: int = 1

    def weights(self, level: TreeLevel) -> NDArray[np.float64]:
        """Return the weights of a level's nodes."""
        powers = {"leaves": self.leaves, "points": self.points}
        weights = share_weights(level.n_leaves, level.n_points, **powers)
        return weights if level.factors is None else rounded(weights * level.factors)

    def order(self, t: int, n_nodes: int) -> NDArray[np.uint64]:
        """Return the order of the nodes of level t = 1, 2, ... where their claims are equal."""
        return hash_keys(derive_seed(self.seed, t), np.arange(n_nodes))

    def capacities(self, level: TreeLevel) -> NDArray[np.int64]:
        """Return the most rows that can be drawn below a level's nodes."""
        return level.n_points * self.replicas if level.maxima is None else level.maxima


def restricted(levels: Sequence[TreeLevel], n_points: NDArray[np.int64]) -> list[TreeLevel]:
    """Return the tree over some of its points; leaves without any do not count.

    Parameters
    ----------
    n_points : (n_leaves,) those below each leaf
    """
    n_leaves, found = np.minimum(n_points, 1), []
    for t, level in enumerate(levels):
        if t:
            parents, n_nodes = levels[t - 1].parents, len(level.parents)
            n_leaves, n_points = (units_below(x, parents, n_nodes) for x in (n_leaves, n_points))
        found.append(TreeLevel(level.parents, n_leaves, n_points, factors=level.factors))
    return found


def bounded(
    levels: Sequence[TreeLevel],
    minima: Sequence[NDArray[np.int64]],
    maxima: Sequence[NDArray[np.int64]],
) -> list[TreeLevel]:
    """Return the tree with bounds on the rows below each node, made consistent from the leaves up.

    A node's rows are at least its children's minima together, and at most their maxima. A minimum
    may still exceed its maximum.

    Parameters
    ----------
    minima, maxima : (n_nodes,) int64 per level, leaves first
    """
    found: list[TreeLevel] = []
    least, most = minima[0], maxima[0]
    for t, level in enumerate(levels):
        if t:
            parents, n_nodes = levels[t - 1].parents, len(level.parents)
            least = np.maximum(minima[t], units_below(least, parents, n_nodes))
            most = np.minimum(maxima[t], units_below(most, parents, n_nodes))
        found.append(replace(level, minima=least, maxima=most))
    return found


def quotas_down(
    levels: Sequence[TreeLevel], target_size: int, sharing: Sharing
) -> list[NDArray[np.int64]]:
    """Return every node's quota.

    Parameters
    ----------
    levels : leaves first

    Returns
    -------
    quotas : one (n_nodes,) int64 per level, leaves first
    """
    quotas = [np.array([target_size], dtype=np.int64)]
    for t in range(len(levels), 0, -1):
        level = levels[t - 1]
        weights, order = sharing.weights(level), sharing.order(t, len(level.parents))
        capacities = sharing.capacities(level)
        shared = divide_quotas(quotas[0], level.parents, weights, capacities, order, level.minima)
        quotas.insert(0, shared)
    return quotas[:-1]


def admitted(
    levels: Sequence[TreeLevel], quotas: Sequence[NDArray[np.int64]], sharing: Sharing
) -> NDArray[np.int64]:
    """Return the order in which a growing sample admits the rows of its leaves.

    Quotas are house-monotone: the first n rows in this order are the sample of size n.

    Parameters
    ----------
    quotas : what ``quotas_down`` returned

    Returns
    -------
    positions : (n_sampled,) int64 from 0, leaf after leaf, a leaf's rows by rank
    """
    positions: NDArray[np.int64] = np.arange(quotas[0].sum())
    for t, (level, quota) in enumerate(zip(levels, quotas, strict=True), start=1):
        order = sharing.order(t, len(quota))
        weights = sharing.weights(level)
        positions = admission_order(quota, level.parents, weights, order, level.minima)[positions]
    return positions


def pool_weights(
    levels: Sequence[TreeLevel], quotas: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Return how many points of the pool each sampled row of a leaf stands for.

    A node's points are shared among its children with a quota, in proportion to their points, so
    that leaves without one count at their parent. The weights of a sample's rows sum to the pool's
    size: they are the inverse of the rates at which it was drawn.

    Returns
    -------
    weights : (n_leaves,) float64; 0 without a quota
    """
    stands_for = np.array([levels[-1].n_points.sum()], dtype=np.float64)
    for level, quota in zip(reversed(levels), reversed(quotas), strict=True):
        mine = np.where(quota > 0, level.n_points, 0)
        below = np.bincount(level.parents, weights=mine, minlength=len(stands_for))
        stands_for = mine * (stands_for / np.maximum(below, 1))[level.parents]
    weights: NDArray[np.float64] = stands_for / np.maximum(quotas[0], 1)
    return weights
