"""The outlier gate on planted concepts and 2% scatter: what scatter takes of a balanced sample.

Run: python -m tests.benchmarks.outliers [--points 60000] [--concepts 1000]
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from jobs import balance_sample, cluster_levels, embed_pool, gate_outliers
from jobs.config.model import RunConfig, SparkConfig
from jobs.outliers.search import N_NEIGHBOURS
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.spark.session import start_local
from jobs.tables.shared import REJECTS
from tests.pools import Pool, grouped_mixture, scattered_over
from tests.quality.mixture import config_for, write_pool
from udfs.kernels.judging.measures import kl_to_uniform

SCATTERED = 0.02  # of the pool
METHODS = ("null", "knn")


@dataclass(frozen=True)
class Found:
    """What became of a pool: shares, numbers of planted concepts and of points."""

    scatter_in_sample: float
    n_lost: int
    n_concept_points_gone: int
    n_scatter_kept: int
    kl: float
    seconds: float

    def __str__(self) -> str:
        """Return it as one line."""
        return (
            f"scatter in the sample {self.scatter_in_sample:.2%}, concepts lost {self.n_lost}, "
            f"their points turned away {self.n_concept_points_gone}, scatter kept "
            f"{self.n_scatter_kept}, KL {self.kl:.3f}, gate {self.seconds:.1f} s"
        )


def measure(spark: SparkSession, config: RunConfig, pool: Pool) -> Found:
    """Curate a pool without its report, and compare with what was planted.

    A concept is lost if it had more points than count as each other's neighbours, and none is left.
    """
    run, y = open_run(spark, config), pool[1]
    on = (embed_pool.STAGE, gate_outliers.STAGE, cluster_levels.STAGE, balance_sample.STAGE)
    for stage in on:
        if run.is_on(stage):
            run.do(stage)
    gone = np.zeros(len(y), bool)
    if run.is_on(gate_outliers.STAGE):
        gone[_ids(run, gate_outliers.STAGE, REJECTS)] = True
    had, left = (np.bincount(y[mine]) for mine in (y >= 0, (y >= 0) & ~gone))
    left = np.pad(left, (0, len(had) - len(left)))
    drawn = y[_ids(run, balance_sample.STAGE, balance_sample.SAMPLES)]
    return Found(
        scatter_in_sample=float((drawn < 0).mean()),
        n_lost=int(((had > N_NEIGHBOURS) & (left == 0)).sum()),
        n_concept_points_gone=int((gone & (y >= 0)).sum()),
        n_scatter_kept=int((~gone & (y < 0)).sum()),
        kl=kl_to_uniform(np.bincount(drawn[drawn >= 0], minlength=len(had))),
        seconds=run.metrics.get("gate_outliers", {}).get("seconds", 0.0),
    )


def _ids(run: Run, stage, table) -> np.ndarray:
    return run.read(stage, table).select("id").toArrow()["id"].to_numpy()


def main() -> None:
    """Print a line for each pool, without the gate and with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60_000)
    parser.add_argument("--concepts", type=int, default=1000)
    asked = parser.parse_args()
    spark = start_local(SparkConfig(master="local[2]", driver_memory="4g", shuffle_partitions=4))
    groups = {"unrelated": (asked.concepts, 1), "grouped": (asked.concepts // 10, 10)}
    for name, (n_groups, per_group) in groups.items():
        made = grouped_mixture(
            0, n_points=asked.points, n_groups=n_groups, per_group=per_group, n_features=128
        )
        pool = scattered_over(made, 0, share=SCATTERED)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pool.parquet"
            write_pool(pool, path)
            for method in METHODS:
                levels = [4 * asked.concepts, asked.concepts]
                cluster = {"levels": levels, "resampling": {"rounds": 3}}
                config = config_for(path, Path(folder) / "lake", 10 * asked.concepts, cluster)
                outliers = config.outliers.model_copy(
                    update={"method": None if method == "null" else method}
                )
                config = config.model_copy(update={"outliers": outliers})
                print(
                    f"{name}, outliers.method {method}: {measure(spark, config, pool)}", flush=True
                )
    spark.stop()


if __name__ == "__main__":
    main()
