"""What a balanced sample's weights tell about the pool: shares of concepts, means of a value.

A share is estimated from 1,000 rows of a balanced sample, each counted as the points that it stands
for (``pool_weight``), as one (unweighted), and from a uniform sample of the same size. The error is
the sum over concepts of what the shares are off. The mean of a value that follows no concept is
estimated likewise: there weights only add noise.

Run: python -m tests.quality.pool_weights [--seeds N]
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.sections.cluster import ClusterConfig
from jobs.tuning.trials import SampledTree
from tests.pools import Pool, scattered_mixture, zipf_mixture
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.sampling.allocation import Sharing, TreeLevel, pool_weights, quotas_down

N_PICKS = 1000
LEVELS = [1000, 200]
POOLS: dict[str, Callable[[int], Pool]] = {
    "separable": lambda seed: zipf_mixture(seed, n_points=10_000, n_features=64),
    "scattered": lambda seed: scattered_mixture(
        seed, n_points=8_000, n_thin=600, n_dense=1400, n_features=64
    ),
}


class Errors(NamedTuple):
    """Errors of a weighted, an unweighted and a uniform sample, of shares and of a mean."""

    weighted: float
    unweighted: float
    uniform: float
    weighted_mean: float
    unweighted_mean: float
    uniform_mean: float


def measure(pool: Pool, seed: int) -> Errors:
    """Draw both samples of a pool, and return their errors."""
    X, concepts = pool
    _, concepts = np.unique(concepts, return_inverse=True)
    drawn, weights = _balanced(X, seed)
    rng = np.random.default_rng(seed)
    uniform, value = rng.permutation(len(X))[: len(drawn)], rng.standard_normal(len(X))
    ones = np.ones(len(drawn))
    sets = [(drawn, weights), (drawn, ones), (uniform, ones)]
    return Errors(
        *(_share_error(concepts, *one) for one in sets),
        *(abs(np.average(value[rows], weights=w) - value.mean()) for rows, w in sets),
    )


def _balanced(X: NDArray[np.float32], seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    config = ClusterConfig.model_validate({"levels": LEVELS, "resampling": {"rounds": 3}})
    points = to_grid(X, grid_unit(1.0))
    tree = SampledTree(points, config, seed=seed, n_threads=1)
    levels = [TreeLevel(np.maximum(t.parents, 0), t.n_leaves, t.n_points) for t in tree.levels]
    quotas = quotas_down(levels, N_PICKS, Sharing(seed))
    drawn = np.flatnonzero(tree.rank < quotas[0][tree.leaf])
    return drawn, pool_weights(levels, quotas)[tree.leaf[drawn]]


def _share_error(
    concepts: NDArray[np.int64], rows: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    n = concepts.max() + 1
    true = np.bincount(concepts, minlength=n) / len(concepts)
    told = np.bincount(concepts[rows], weights, minlength=n) / weights.sum()
    return float(np.abs(told - true).sum())


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    n_seeds = parser.parse_args(argv).seeds
    print(f"| pool | {' | '.join(name.replace('_', ' ') for name in Errors._fields)} |")
    print("|---" * (1 + len(Errors._fields)) + "|")
    for name, make in POOLS.items():
        means = np.mean([measure(make(seed), seed) for seed in range(n_seeds)], axis=0)
        print(f"| {name} | {' | '.join(f'{x:.3f}' for x in means)} |", flush=True)


if __name__ == "__main__":
    main()
