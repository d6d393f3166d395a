"""Random trees to draw from."""

import numpy as np

from udfs.kernels.sampling.allocation import TreeLevel


def random_tree(rng: np.random.Generator, *, max_leaves: int = 60) -> list[TreeLevel]:
    """Return a tree of three levels over leaves of random sizes, some of them empty."""
    n_points = rng.integers(0, 40, int(rng.integers(1, max_leaves)))
    n_leaves = np.ones(len(n_points), np.int64)
    levels = []
    for size in (int(rng.integers(1, 12)), int(rng.integers(1, 4)), 1):
        parents = rng.integers(0, size, len(n_points))
        levels.append(TreeLevel(parents, n_leaves, n_points))
        n_leaves, n_points = (
            np.bincount(parents, weights=x, minlength=size).astype(np.int64)
            for x in (n_leaves, n_points)
        )
    return levels
