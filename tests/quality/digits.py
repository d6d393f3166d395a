"""Curate the long-tailed digits with the quickstart config, for any seed.

Run: python -m tests.quality.digits   (prints the table of the README)
"""

import sys
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from jobs import curate, write_example
from jobs.config.loading import load_config
from jobs.config.model import SparkConfig
from jobs.spark.session import start_local

CONFIG = Path(__file__).resolve().parents[2] / "conf" / "quickstart.yaml"
N_SEEDS = 10


@dataclass(frozen=True)
class Figures:
    """What the report says of one curated sample of the digits."""

    kl: float
    kl_of_uniform: float
    probe: float
    probe_of_uniform: float


def digits_figures(spark: SparkSession, seed: int, folder: Path) -> Figures:
    """Curate the digits that a seed keeps."""
    overrides = [f"seed={seed}", f"input.table={folder}/digits", f"output.root={folder}/lake"]
    config = load_config(CONFIG, overrides)
    write_example.run(spark, config)
    figures = curate.run(spark, config).metrics["report_curation"]
    kl, probe = "balanced.labels.kl_uniform", "balanced.labels.probe_accuracy"
    return Figures(*(figures[key] for name in (kl, probe) for key in (name, f"{name}.control")))


def line(title: object, one: Figures) -> str:
    """Return one line of the table."""
    return (
        f"| {title} | {one.kl:.3f} | {one.kl_of_uniform:.3f} | {one.kl / one.kl_of_uniform:.2f} "
        f"| {one.probe:.3f} | {one.probe_of_uniform:.3f} "
        f"| {one.probe - one.probe_of_uniform:+.3f} |"
    )


def main() -> int:
    """Print one line per seed."""
    spark = start_local(SparkConfig(master="local[2]", driver_memory="2g", shuffle_partitions=2))
    with tempfile.TemporaryDirectory() as folder:
        found = [digits_figures(spark, seed, Path(folder) / str(seed)) for seed in range(N_SEEDS)]
    print("| seed | KL, curated | uniform | ratio | probe, curated | uniform | gap |")
    print("|" + "---|" * 7)
    for seed, one in enumerate(found):
        print(line(seed, one))
    print(line("mean", Figures(*np.mean([astuple(one) for one in found], axis=0))))
    n_above = sum(one.probe > one.probe_of_uniform for one in found)
    print(f"probe above uniform's in {n_above} of {N_SEEDS}")
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
