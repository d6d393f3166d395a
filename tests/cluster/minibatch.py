"""Fit the 20,000 x 256 Zipf mixture by Spark mini-batches, and by Lloyd; print the figures.

Level 2 of the two runs has different inputs (the leaves that each run found), so its inertia is
compared on the same input: Lloyd is run once more on the mini-batch run's own leaves.
"""

import json
import sys
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tests.cluster.sessions import start_cluster
from tests.pools import zipf_mixture
from tests.quality.mixture import config_for, curate_planted, first_fits, write_pool
from udfs.kernels.exact.grid import to_grid
from udfs.kernels.exact.hashing import derive_seed
from udfs.kernels.kmeans.iterations import KMeansParams
from udfs.kernels.kmeans.lloyd import fit_kmeans
from udfs.kernels.passes.sources import blocks_of

LEVELS = (1000, 200)
SEED = 0


def lloyd_inertia(X: np.ndarray, k: int, level: int) -> float:
    """Return Lloyd's inertia on the same inputs, from the same seed."""
    seen = []
    fit_kmeans(
        blocks_of(to_grid(X, 2.0**-24), n_threads=2),
        k,
        KMeansParams(algorithm="lloyd"),
        seed=derive_seed(derive_seed(SEED, level), 0),
        on_iteration=seen.append,
    )
    return float(seen[-1].objective) * 2.0**-48


def main(folder: Path) -> None:
    """Print the figures as JSON."""
    pool = zipf_mixture(SEED)
    write_pool(pool, folder / "pool.parquet")
    cluster = {
        "levels": list(LEVELS),
        "algorithm": "minibatch",
        "solver": "spark",
        "resampling": {"rounds": 10, "points": [10, 3]},
    }
    spark = start_cluster()
    config = config_for(folder / "pool.parquet", folder / "lake", 1000, cluster, SEED)
    run, figures = curate_planted(spark, config)
    nodes = run.lake.read("nodes", run.keys["cluster_levels"]).where("level = 1")
    leaves = np.array([r.centroid for r in nodes.orderBy("node_id").select("centroid").collect()])
    with threadpool_limits(1):
        lloyd = {
            "1": lloyd_inertia(pool[0], LEVELS[0], 1),
            "2": lloyd_inertia(leaves, LEVELS[1], 2),
        }
    print(json.dumps(figures | first_fits(run) | {"lloyd_inertia": lloyd}))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
