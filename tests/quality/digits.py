"""Curate the long-tailed digits with the quickstart config, for any seed.

Run: python -m tests.quality.digits   (prints the table of the README)
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from jobs import curate, write_example
from jobs.config.loading import load_config
from jobs.config.model import SparkConfig
from jobs.spark.session import start_local

CONFIG = Path(__file__).resolve().parents[2] / "conf" / "quickstart.yaml"


def digits_balance(spark: SparkSession, seed: int, folder: Path) -> tuple[float, float]:
    """Return the KL of digit counts to uniform: of the curated and of a uniform sample."""
    overrides = [f"seed={seed}", f"input.table={folder}/digits", f"output.root={folder}/lake"]
    config = load_config(CONFIG, overrides)
    write_example.run(spark, config)
    figures = curate.run(spark, config).metrics["report_curation"]
    name = "balanced.labels.kl_uniform"
    return figures[name], figures[f"{name}.control"]


def main() -> int:
    """Print one line per seed."""
    spark = start_local(SparkConfig(master="local[2]", driver_memory="2g", shuffle_partitions=2))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(5):
            found.append(digits_balance(spark, seed, Path(folder) / str(seed)))
    print("| seed | curated | uniform | ratio |\n|---|---|---|---|")
    for seed, (curated, uniform) in enumerate(found):
        print(f"| {seed} | {curated:.3f} | {uniform:.3f} | {curated / uniform:.2f} |")
    mean = np.mean(found, axis=0)
    print(f"| mean | {mean[0]:.3f} | {mean[1]:.3f} | {mean[0] / mean[1]:.2f} |")
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
