"""Batches of hard negatives beside writing the same ids in uniform batches.

A planted pool and a tree of 2000/200 nodes; in one warm session, in turns, the median of each. The
rival is what one would write for it: ids ordered by a hash, numbered, cut, and written to Delta.
The stage also looks up the embeddings of a few batches, to say how hard they are.

Run: python -m tests.benchmarks.hard_negatives [--points 1000000] [--turns 3] [--guard 0.9]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, embed_pool, find_duplicates, mine_negatives
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, SparkConfig
from jobs.exporting.cutting import by_hash, numbered
from jobs.runs.opening import open_run
from jobs.spark.session import start_local
from tests.benchmarks.machine import n_cores
from tests.pools import grouped_mixture
from tests.quality.mixture import write_pool

SIZE, N_FEATURES = 256, 32


def config_of(folder: Path, epoch: int, max_cosine: float | None = None) -> RunConfig:
    """Return a config; another epoch has other batches."""
    batches = {"size": SIZE, "epoch": epoch, "max_cosine": max_cosine}
    return parse_config(
        {
            "input": {"table": f"{folder}/pool.parquet", "embedding": "embedding"},
            "output": {"root": f"{folder}/lake"},
            "cluster": {"levels": [2000, 200], "resampling": {"rounds": 0}},
            "samples": [{"name": "s", "target_size": 1000, "share": {"leaves": 0.0}}],
            "contrast": {"source": "pool", "batches": batches},
        }
    )


def mined(spark: SparkSession, config: RunConfig) -> tuple[float, dict[str, float]]:
    """Return the seconds that the stage takes, and how hard its batches are."""
    run = open_run(spark, config)
    began = time.perf_counter()
    done = mine_negatives.mine(run)
    return time.perf_counter() - began, done.hardness


def uniform(spark: SparkSession, config: RunConfig, place: Path) -> float:
    """Return the seconds that writing uniform batches takes."""
    run = open_run(spark, config)
    rows = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS)
    began = time.perf_counter()
    ids = rows.select(F.lit(0).alias("epoch"), "id")
    shuffled = numbered(ids, "epoch", by_hash("id", seed=config.contrast.batches.epoch), ["id"])
    batches = shuffled.select(
        "epoch", F.expr(f"place DIV {SIZE}").alias("batch_id"), "id",
        F.expr(f"place % {SIZE}").cast("int").alias("position"),
    )  # fmt: skip
    batches.write.format("delta").mode("append").save(str(place))
    return time.perf_counter() - began


def main(argv: list[str] | None = None) -> int:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--guard", type=float, default=0.9)
    parser.add_argument("--memory", default="6g")
    given = parser.parse_args(argv)
    spark = start_local(
        SparkConfig(master=f"local[{n_cores()}]", driver_memory=given.memory, shuffle_partitions=4)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = grouped_mixture(0, n_points=given.points, n_features=N_FEATURES)
        write_pool(pool, folder / "pool.parquet")
        for stage in (embed_pool, find_duplicates, cluster_levels, balance_sample):
            stage.run(spark, config_of(folder, 0))
        seconds: dict[str, list[float]] = {"hard negatives": [], "uniform": []}
        hardness: dict[str, Any] = {}
        for turn in range(given.turns + 1):  # the first warms the session
            config = config_of(folder, turn)
            other = uniform(spark, config, folder / "uniform")
            mine, hardness = mined(spark, config)
            print(f"turn {turn}: {mine:.1f} s, uniform {other:.1f} s", flush=True)
            if turn:
                seconds["hard negatives"].append(mine)
                seconds["uniform"].append(other)
        hard, rival = map(median, seconds.values())
        print(f"{given.points:,} points: {hard:.1f} s, uniform {rival:.1f}, x {hard / rival:.2f}")
        print(", ".join(f"{name} {value:.3g}" for name, value in hardness.items()))
        guarded, hardness = mined(spark, config_of(folder, given.turns, given.guard))
        print(f"max_cosine={given.guard:g}: {guarded:.1f} s, x {guarded / rival:.2f}")
        print(", ".join(f"{name} {value:.3g}" for name, value in hardness.items()))
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
