"""The whole method in process: 20,000 x 256, levels 1000/200, resampling 10 x (10, 3), 1000 picks.

Run: python -m tests.benchmarks.whole_method [N_SEEDS]
"""

import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.clustering.tree import grow_tree
from jobs.sections.cluster import ClusterConfig
from tests.benchmarks.balance import draw
from tests.pools import zipf_mixture
from udfs.kernels.exact.grid import to_grid
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.judging.measures import kl_to_uniform
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.passes.steps.members import LabelPoints

N_CONCEPTS = 200
CLUSTER = ClusterConfig.model_validate(
    {"levels": [1000, 200], "resampling": {"rounds": 10, "points": [10, 3]}}
)
TARGET_SIZE = 1000


def curate(seed: int) -> tuple[float, float, int]:
    """Return the solver's seconds, KL and the number of concepts present."""
    X, concepts = zipf_mixture(seed, n_concepts=N_CONCEPTS)
    source = blocks_of(to_grid(X, 2.0**-24), n_threads=2)
    began = time.perf_counter()
    levels = grow_tree(
        source,
        CLUSTER,
        seed=seed,
        n_threads=2,
        on_iteration=lambda *_: None,
    )
    seconds = time.perf_counter() - began
    leaves = source.reduce(LabelPoints(Centroids(levels[0].centroids)))["labels"]
    counts = np.bincount(concepts[draw(levels, leaves, TARGET_SIZE, seed)], minlength=N_CONCEPTS)
    return seconds, kl_to_uniform(counts), int((counts > 0).sum())


def main(n_seeds: int) -> None:
    """Print a line per seed, then the summary."""
    with threadpool_limits(1):
        rows = []
        for seed in range(n_seeds):
            rows.append(curate(seed))
            print(f"seed {seed}: {rows[-1][0]:.2f} s, KL {rows[-1][1]:.4f}, {rows[-1][2]} concepts")
    seconds, kl, present = np.array(rows).T
    print(
        f"\nsolver {np.median(seconds):.2f} s (median), KL mean {kl.mean():.4f} max "
        f"{kl.max():.4f}, concepts mean {present.mean():.1f} min {present.min():.0f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
