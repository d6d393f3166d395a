"""Quotas of a whole tree: a sample's size, shared out from the top level down to the leaves.

Source: arXiv 2405.15613, section 3.4, generalised with weights in ``udfs.kernels.sampling.quotas``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.sampling.quotas import divide_quotas, share_weights


@dataclass(frozen=True)
class TreeLevel:
    """What quotas need to know of a level, columns over its nodes : (n_nodes,) int64 each.

    ``parents`` are 0 at the top, below the one root.
    """

    parents: NDArray[np.int64]
    n_leaves: NDArray[np.int64]
    n_points: NDArray[np.int64]


def quotas_down(
    levels: Sequence[TreeLevel],
    target_size: int,
    *,
    leaves: float = 0.0,
    points: float = 0.0,
    replicas: int = 1,
    seed: int,
) -> list[NDArray[np.int64]]:
    """Return every node's quota.

    Parameters
    ----------
    levels : leaves first
    leaves, points : powers of the numbers of leaves and points below a node, in its weight
    replicas : how often one point may be drawn

    Returns
    -------
    quotas : one (n_nodes,) int64 per level, leaves first
    """
    quotas = [np.array([target_size], dtype=np.int64)]
    for t in range(len(levels), 0, -1):
        level = levels[t - 1]
        weights = share_weights(level.n_leaves, level.n_points, leaves=leaves, points=points)
        order = hash_keys(derive_seed(seed, t), np.arange(len(weights)))
        capacities = level.n_points * replicas
        quotas.insert(0, divide_quotas(quotas[0], level.parents, weights, capacities, order))
    return quotas[:-1]
