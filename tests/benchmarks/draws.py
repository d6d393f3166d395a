"""Draws from a finished tree: ten samples beside one, and what constraints add.

200,000 planted points and a tree of 2000/200 nodes; in one warm session, the median of three draws
each, every one with another seed, so that none is reused.

Run: python -m tests.benchmarks.draws [N_POINTS]
"""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from jobs import balance_sample, cluster_levels, embed_pool, find_duplicates
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.spark.session import get_session
from tests.benchmarks.machine import keep_to_cores
from tests.pools import grouped_mixture
from tests.quality.mixture import write_pool

N_POINTS, N_REPEATS = 200_000, 3
SIZES = np.geomspace(1000, 100_000, 10).round().astype(int).tolist()
QUOTAS = {"by": "concept", "values": {"3": {"min": 20}, "5": {"max": 10}}}
WANTED: dict[str, list[dict[str, Any]]] = {
    "one sample of 100,000": [{"target_size": 100_000}],
    "ten samples, 1,000 to 100,000": [{"target_size": size} for size in SIZES],
    "one, must_exclude": [{"target_size": 100_000, "must_exclude": "concept = '7'"}],
    "one, quotas of values": [{"target_size": 100_000, "quotas": QUOTAS}],
    "one, diverse": [{"target_size": 100_000, "strategy": "diverse"}],
}


def config_of(folder: Path, samples: Sequence[Mapping[str, Any]], seed: int = 0) -> RunConfig:
    """Return a config; another seed changes the share of points by next to nothing: a new draw."""
    even = {"share": {"leaves": 0.0, "points": seed * 1e-6}}
    return parse_config(
        {
            "input": {
                "table": f"{folder}/pool.parquet",
                "embedding": "embedding",
                "metadata": ["concept"],
            },
            "output": {"root": f"{folder}/lake"},
            "cluster": {"levels": [2000, 200], "resampling": {"rounds": [0, 3]}},
            "samples": [{"name": f"s{i}"} | even | dict(s) for i, s in enumerate(samples)],
        }
    )


def main(n_points: int = N_POINTS) -> None:
    """Print the table."""
    keep_to_cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pool(grouped_mixture(0, n_points=n_points, n_features=64), folder / "pool.parquet")
        first = config_of(folder, WANTED["one sample of 100,000"])
        spark, _ = get_session(first.spark)
        for stage in (embed_pool, find_duplicates, cluster_levels, balance_sample):
            stage.run(spark, first)
        print("| draw | seconds, median | beside one |\n|---|---|---|")
        one = 0.0
        for what, samples in WANTED.items():
            seconds = []
            for seed in range(1, 1 + N_REPEATS):
                config = config_of(folder, samples, seed)
                began = time.perf_counter()
                balance_sample.run(spark, config)
                seconds.append(time.perf_counter() - began)
            one = one or median(seconds)
            print(f"| {what} | {median(seconds):.1f} | {median(seconds) / one:.2f} |", flush=True)
        spark.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
