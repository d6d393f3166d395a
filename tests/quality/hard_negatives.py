"""How close the points are in batches from a walk through a tree, beside uniform batches.

The digits of scikit-learn (1797 x 64), directions seen from their mean, in batches of 32: from a
tree of 90/30/10 nodes, at temperatures from 0 to 1, and from five flat clusters, with which
METHODS (arXiv 2105.08054) has the mean cosine to negatives rise from .047 to .407.

Run: python -m tests.quality.hard_negatives [SEEDS]    a table of means, twelve seeds by default
"""

import sys
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from jobs.clustering.tree import grow_tree
from jobs.negatives.order import level_for
from jobs.sections.cluster import ClusterConfig
from jobs.tables.levels import leaf_paths
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.exact.nearest import Centroids, nearest_centroids
from udfs.kernels.negatives.hardness import centred, info_nce, mean_cosine, share_of_pairs
from udfs.kernels.negatives.walk import Nodes, walk
from udfs.kernels.passes.sources import blocks_of

SIZE = 32
TREE, FLAT = (90, 30, 10), (5,)
UNIFORM = 1.0  # the temperature
TEMPERATURES = (0.0, 0.03, 0.1, 0.3, UNIFORM)
FIGURES = ("mean cosine", "not centred", "InfoNCE", "pairs of one label")

Figures = dict[str, float]


@cache
def digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return directions and labels : (1797, 64), (1797,)."""
    data = load_digits()
    return data.data / np.linalg.norm(data.data, axis=1, keepdims=True), data.target


class Walked:
    """The digits' places on the walk through a tree's nodes, of the level that the stage takes."""

    def __init__(self, seed: int, sizes: Sequence[int]) -> None:
        X = to_grid(digits()[0], grid_unit(1.0))
        config = ClusterConfig.model_validate(
            {"levels": [*sizes], "resampling": {"rounds": 0 if len(sizes) == 1 else 3}}
        )
        levels = grow_tree(
            blocks_of(X, n_threads=2),
            config,
            seed=seed,
            n_threads=2,
            on_iteration=lambda *_: None,
        )
        t = level_for(len(X), sizes, SIZE) - 1
        leaves = nearest_centroids(X, Centroids(levels[0].centroids))[0]
        node = leaf_paths([level.parents for level in levels])[leaves, t]
        order = walk([Nodes(level.centroids, level.parents) for level in levels[t:]])
        counts = np.bincount(node, minlength=len(order))
        before = np.empty(len(order))
        before[order] = np.cumsum(counts[order]) - counts[order]
        self.rng = np.random.default_rng(seed)
        self.places = before[node] + counts[node] * self.rng.random(len(X))

    def batches(self, temperature: float) -> NDArray[np.int64]:
        """Return the rows of whole batches : (n_batches, SIZE)."""
        n = len(self.places)
        key = (self.places + temperature * n * self.rng.random(n)) % n
        return np.argsort(key, kind="stable")[: n // SIZE * SIZE].reshape(-1, SIZE)


def figures(rows: NDArray[np.int64]) -> Figures:
    """Return the means over batches."""
    X, y = digits()
    Z = centred(X, X.mean(axis=0))
    found = [
        (
            mean_cosine(Z[i]),
            mean_cosine(X[i]),
            info_nce(Z[i]),
            share_of_pairs(y[i][:, None] == y[i]),
        )
        for i in rows
    ]
    return dict(zip(FIGURES, np.mean(found, axis=0).tolist(), strict=True))


def measured(seed: int) -> dict[str, Figures]:
    """Measure batches of a seed."""
    tree, flat = Walked(seed, TREE), Walked(seed, FLAT)
    found = {f"tree, temperature {t:g}": figures(tree.batches(t)) for t in TEMPERATURES}
    return found | {"five clusters, temperature 0": figures(flat.batches(0.0))}


def main(argv: Sequence[str]) -> None:
    """Print the means over seeds."""
    found = [measured(seed) for seed in range(int(argv[0]) if argv else 12)]
    print(f"| {len(found)} seeds | {' | '.join(FIGURES)} | least over seeds, of cosine |")
    print("|---" * (len(FIGURES) + 2) + "|")
    for name in found[0]:
        means = [np.mean([each[name][figure] for each in found]) for figure in FIGURES]
        least = min(each[name]["mean cosine"] for each in found)
        print(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} | {least:.3f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
