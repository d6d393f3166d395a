"""Mini-batches against Lloyd at equal work, from the same start, on pools where Lloyd is slow.

Run: python -m tests.benchmarks.batches
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tests.pools import grouped_mixture, zipf_mixture
from udfs.kernels.exact.grid import grid_unit, join_limbs, to_grid
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import Iteration, KMeansParams
from udfs.kernels.kmeans.lloyd import lloyd
from udfs.kernels.kmeans.minibatch import minibatch
from udfs.kernels.kmeans.start import start_centroids
from udfs.kernels.passes.sources import BlockSource, blocks_of
from udfs.kernels.passes.steps.sums import AssignAndSum

N_POINTS = 100_000
FULL = 50  # Lloyd iterations that the others are compared with


def pools() -> Iterator[tuple[str, NDArray[np.floating], int]]:
    """Return pools with the number of clusters to fit."""
    rng = np.random.default_rng(0)
    decay = 1 / np.sqrt(1 + np.arange(64))
    yield "a cloud of decaying spectrum, d=64", rng.standard_normal((N_POINTS, 64)) * decay, 200
    yield "a round cloud, d=16", rng.standard_normal((N_POINTS, 16)), 500
    zipf = zipf_mixture(0, n_points=N_POINTS, n_concepts=1000, n_features=64)
    yield "1000 Zipf concepts, d=64", zipf[0], 1000
    yield "100 groups of 10 concepts, d=256", grouped_mixture(0, n_points=N_POINTS)[0], 500


def inertia(source: BlockSource, C: NDArray[np.float32]) -> int:
    """Return the exact inertia after one more assignment."""
    return join_limbs(source.reduce(AssignAndSum(Centroids(C)))["objective"])


def compare(X: NDArray[np.floating], k: int) -> tuple[float, float, float]:
    """Return the work of mini-batches and a closing pass, their excess inertia, and Lloyd's."""
    source = blocks_of(to_grid(X, grid_unit(float(np.linalg.norm(X, axis=1).max()))), n_threads=2)
    start = start_centroids(source, k, seed=1)
    exhaustive = KMeansParams(algorithm="lloyd", tol=0.0, max_iter=FULL)
    path: list[Iteration] = []
    best = inertia(source, lloyd(source, start, exhaustive, on_iteration=path.append))
    seen: list[Iteration] = []
    C, _ = minibatch(source, start, KMeansParams(), on_iteration=seen.append)
    # a run of n Lloyd iterations gives the centroids after n - 1 updates
    closed = lloyd(source, C, KMeansParams(algorithm="lloyd", tol=0.0, max_iter=2))
    work = 1 + sum(it.n_rows for it in seen) / source.n_rows
    return work, inertia(source, closed) / best - 1, path[round(work)].objective / best - 1


def main() -> None:
    """Print the table."""
    print(f"| pool of {N_POINTS:,} | k | passes of work | mini-batches | Lloyd, equal work |")
    print("|---|---|---|---|---|")
    with threadpool_limits(1):
        for name, X, k in pools():
            work, ours, plain = compare(X, k)
            print(f"| {name} | {k} | {work:.2f} | {ours:+.2%} | {plain:+.2%} |", flush=True)
    print(f"\nInertia above that of {FULL} Lloyd iterations from the same start.")


if __name__ == "__main__":
    main()
