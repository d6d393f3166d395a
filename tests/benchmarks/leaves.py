"""Time all quotas of a tree of ten million leaves and three levels, on one machine.

Run: python -m tests.benchmarks.leaves [N_LEAVES]
"""

import resource
import sys
import time

import numpy as np

from udfs.kernels.sampling.allocation import Sharing, TreeLevel, quotas_down

N_LEAVES = 10_000_000
FAN_OUT = 100  # children per node, on average
N_LEVELS = 3
TAIL = 1.2  # Pareto exponent of a leaf's points and of a node's share of the level below
SHARES = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5))  # leaves, points
POINTS_PER_PICK = (300, 3)  # a sample much smaller than the number of leaves, and a large one


def long_tailed_tree(n_leaves: int, seed: int = 0) -> list[TreeLevel]:
    """Draw a tree, leaves first; sizes are Pareto, and a node's children may be anywhere."""
    rng = np.random.default_rng(seed)
    n_below = np.ones(n_leaves, np.int64)  # leaves
    n_points = (5 * (1 + rng.pareto(TAIL, n_leaves))).astype(np.int64)
    levels = []
    for t in range(1, N_LEVELS + 1):
        n_parents = max(1, n_leaves // FAN_OUT**t) if t < N_LEVELS else 1  # the root
        edges = np.cumsum(1 + rng.pareto(TAIL, n_parents))
        parents = np.searchsorted(edges, rng.random(len(n_points)) * edges[-1])
        levels.append(TreeLevel(parents, n_below, n_points))
        n_below, n_points = (
            np.bincount(parents, weights=column, minlength=n_parents).astype(np.int64)
            for column in (n_below, n_points)
        )
    return levels


def peak_gib() -> float:
    """Return the most memory this process ever held; Linux counts it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(n_leaves: int = N_LEAVES) -> None:
    """Print one line per share and size of the sample."""
    levels = long_tailed_tree(n_leaves)
    n_points = int(levels[0].n_points.sum())
    nodes = "/".join(str(len(level.parents)) for level in levels)
    print(f"{nodes} nodes, {n_points} points, {peak_gib():.2f} GiB before the first quota\n")
    print("| share.leaves | share.points | target_size | seconds | CPU seconds | peak GiB so far |")
    print("|---|---|---|---|---|---|")
    for leaves, points in SHARES:
        for per_pick in POINTS_PER_PICK:
            target_size = n_points // per_pick
            start = np.array([time.perf_counter(), time.process_time()])
            quotas_down(levels, target_size, Sharing(0, leaves=leaves, points=points))
            seconds, cpu = [time.perf_counter(), time.process_time()] - start
            figures = f"{seconds:.1f} | {cpu:.1f} | {peak_gib():.2f}"
            print(f"| {leaves} | {points} | {target_size} | {figures} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
