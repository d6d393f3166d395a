"""The time of the moments of ten clusters in one pass, beside that of one cluster, on one thread.

Each round times both on the same batches, as a task gets them, one after the other, in processor
time: a ratio means something on a busy machine too. The median of the ratios counts.

Run: python -m tests.benchmarks.contrast_moments [--points 200000] [--features 256] [--clusters 10]
"""

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

from udfs.kernels.contrast.moments import MomentSums
from udfs.kernels.joint.dots import to_coordinates

BATCH, ROUNDS = 4096, 7  # points that a worker reads at once; rounds
Batches = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def seconds_of(batches: Batches, n_clusters: int) -> float:
    """Add up all batches' moments, and return the processor time that it took."""
    start = time.process_time()
    sums = MomentSums(n_clusters, batches[0][0].shape[1])
    for a, b, labels in batches:
        sums.add(a, b, labels if n_clusters > 1 else np.zeros(len(a), np.int64))
    sums.result()
    return time.process_time() - start


def batches_of(n_points: int, n_features: int, n_clusters: int) -> Batches:
    """Return views of random points, and their clusters."""
    rng = np.random.default_rng(0)
    found = []
    for start in range(0, n_points, BATCH):
        X = rng.standard_normal((2, min(BATCH, n_points - start), n_features))
        a, b = (to_coordinates(x / np.linalg.norm(x, axis=1, keepdims=True)) for x in X)
        found.append((a, b, rng.integers(n_clusters, size=len(a))))
    return found


def main() -> None:
    """Print the times and their ratio."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--clusters", type=int, default=10)
    asked = parser.parse_args()
    batches = batches_of(asked.points, asked.features, asked.clusters)
    with threadpool_limits(1):
        times = np.array(
            [[seconds_of(batches, k) for k in (1, asked.clusters)] for _ in range(ROUNDS)]
        )
    one, many = np.median(times, axis=0)
    ratio = np.median(times[:, 1] / times[:, 0])
    print(f"one cluster {one:.2f} s, {asked.clusters} clusters {many:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
