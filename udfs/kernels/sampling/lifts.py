"""Lifts: how many times more of some seeds than of the pool's points are below a node."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.sampling.allocation import TreeLevel
from udfs.kernels.sampling.quotas import units_below

PRIOR = 1.0  # seeds, spread as the points are, that are added below every node


def lifts(levels: Sequence[TreeLevel], n_seeds: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Return every node's share of its siblings' seeds, over its share of their points.

    With s of the S seeds below the parent, and a part p of its points, a node has the lift
    (s + p) / ((S + 1) p): one seed more, spread as the points are. So it is 1 / (S + 1) where no
    seed is, and 1 below nodes without any. A draw that follows the points, with its nodes' weights
    multiplied by their lifts, follows the seeds.

    Parameters
    ----------
    levels : the tree's levels, leaves first
    n_seeds : (n_leaves,) seeds in each leaf

    Returns
    -------
    lifts : (n_nodes,) by level, positive
    """
    found = []
    for t, level in enumerate(levels):
        if t:
            n_seeds = units_below(n_seeds, levels[t - 1].parents, len(level.parents))
        n_parents = int(level.parents.max()) + 1
        n_points = np.maximum(level.n_points, 1)
        among = units_below(n_points, level.parents, n_parents)[level.parents]
        all_seeds = units_below(n_seeds, level.parents, n_parents)[level.parents]
        found.append((n_seeds * (among / n_points) + PRIOR) / (all_seeds + PRIOR))
    return found
