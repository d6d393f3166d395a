"""What a plan advises on known pools: those that trees are judged on, and two without a tail.

Curate where a tree's sample is known to be better, draw uniformly where the pool is even or noise,
guard where scatter would fill the sample.

Run: python -m tests.quality.advice [name of a pool ...]
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from jobs import embed_pool, plan_run
from jobs.config.model import SparkConfig
from jobs.judging.recommendation import Recommendation
from jobs.spark.session import start_local
from tests.benchmarks.judged_pools import digits, packages
from tests.pools import Pool, grouped_mixture, scattered_mixture, zipf_mixture
from tests.quality.mixture import config_for, write_pool


def _even(seed: int) -> Pool:
    """Draw 300 concepts of 40 points each."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(300), 40))
    X = rng.standard_normal((300, 64))[y] + 0.7 * rng.standard_normal((len(y), 64))
    return X.astype(np.float32), y


def _noise(seed: int) -> Pool:
    X = np.random.default_rng(seed).standard_normal((12_000, 64), dtype=np.float32)
    return X, np.zeros(len(X), np.int64)


def _grouped(seed: int) -> Pool:
    return grouped_mixture(seed, n_points=60_000, n_features=128)


# name -> how it is made, the sample's size, and what is right
POOLS: dict[str, tuple[Callable[[int], Pool], int, str]] = {
    "zipf": (zipf_mixture, 1000, "curate"),
    "grouped": (
        lambda seed: grouped_mixture(seed, n_points=60_000, n_features=128),
        5000,
        "curate",
    ),
    "digits": (digits, 100, "curate"),
    # in both views; what it is worth for labels depends on the size (WHEN_IT_PAYS.md)
    "packages": (packages, 5000, "curate"),
    "even": (_even, 1200, "uniform"),
    "noise": (_noise, 1200, "uniform"),
    "scattered": (scattered_mixture, 3000, "guard"),
}


def main(names: list[str]) -> int:
    """Print a line for each pool; return how many times the advice was not what is right."""
    spark = start_local(SparkConfig(driver_memory="6g"), app_name="advice")
    wrong = 0
    for name in names or POOLS:
        found = advised(spark, name)
        wrong += found.action != POOLS[name][2]
        print(f"{name}: {found.action} (want {POOLS[name][2]}). {found.why}", flush=True)
    spark.stop()
    return wrong


def advised(spark: SparkSession, name: str, seed: int = 1) -> Recommendation:
    """Embed a pool and return what a plan says."""
    make, size, _ = POOLS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.parquet"
        write_pool(make(seed), path)
        config = config_for(path, Path(folder) / "lake", size, {"levels": "auto"}, share="auto")
        embed_pool.run(spark, config)
        (found,) = plan_run.run(spark, config).advice
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
