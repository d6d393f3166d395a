"""The outlier gate on planted concepts and 2% scatter: scatter's share of a balanced sample.

Run: python -m tests.benchmarks.outliers [--points 60000] [--concepts 1000]
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from threadpoolctl import threadpool_limits

from jobs import embed_pool, find_duplicates, gate_outliers
from jobs.config.loading import parse_config
from jobs.config.model import SparkConfig
from jobs.outliers.search import N_NEIGHBOURS
from jobs.runs.opening import open_run
from jobs.sections.cluster import ClusterConfig
from jobs.sections.share import Powers
from jobs.spark.session import start_local
from jobs.tables.shared import REJECTS
from jobs.tuning.trials import SampledTree
from tests.benchmarks.machine import n_cores
from tests.pools import Pool, grouped_mixture, scattered_over
from tests.quality.mixture import write_pool
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.judging.measures import kl_to_uniform

SCATTERED = 0.02  # of the pool
N_FEATURES = 128
PICKS = 3  # per concept


@dataclass(frozen=True)
class Found:
    """What became of a pool: shares, numbers of planted concepts and of points."""

    scatter_in_sample: float
    n_lost: int
    n_concept_points_gone: int
    n_scatter_kept: int
    kl: float

    def __str__(self) -> str:
        """Return it as one line."""
        return (
            f"scatter in the sample {self.scatter_in_sample:.2%}, concepts lost {self.n_lost}, "
            f"their points turned away {self.n_concept_points_gone}, scatter kept "
            f"{self.n_scatter_kept}, KL {self.kl:.3f}"
        )


def gated(spark: SparkSession, pool: Pool, folder: Path) -> tuple[NDArray[np.bool_], float]:
    """Return who is turned away, and the gate's seconds."""
    write_pool(pool, folder / "pool.parquet")
    plain = {
        "input": {"table": f"{folder}/pool.parquet", "embedding": "embedding"},
        "output": {"root": f"{folder}/lake"},
        "outliers": {"method": "knn"},
        "samples": [{"name": "s", "target_size": 10}],
    }
    run = open_run(spark, parse_config(plain))
    for job in (embed_pool, find_duplicates, gate_outliers):
        run.do(job.STAGE)
    gone = np.zeros(len(pool[1]), bool)
    gone[run.read(gate_outliers.STAGE, REJECTS).select("id").toArrow()["id"].to_numpy()] = True
    return gone, run.metrics["gate_outliers"]["seconds"]


def sampled(pool: Pool, gone: NDArray[np.bool_], levels: list[int]) -> list[Found]:
    """Draw balanced samples of those that stay, from the leaves alone and from the whole tree.

    A concept is lost if it had more points than may vouch for each other, and none is left.
    """
    X, y = pool[0][~gone], pool[1][~gone]
    cluster = ClusterConfig.model_validate(
        {"levels": levels, "split": "off", "resampling": {"rounds": 3}, "tol": 1e-3}
    )
    with threadpool_limits(1):
        tree = SampledTree(to_grid(X, grid_unit(1.0)), cluster, seed=0, n_threads=n_cores())
    had = np.bincount(pool[1][pool[1] >= 0])
    left = np.bincount(y[y >= 0], minlength=len(had))
    samples = [y[tree.draw(depth, PICKS * levels[-1], Powers())] for depth in (1, 2)]
    return [
        Found(
            scatter_in_sample=float((drawn < 0).mean()),
            n_lost=int(((had > N_NEIGHBOURS) & (left == 0)).sum()),
            n_concept_points_gone=int((had - left).sum()),
            n_scatter_kept=int((y < 0).sum()),
            kl=kl_to_uniform(np.bincount(drawn[drawn >= 0], minlength=len(had))),
        )
        for drawn in samples
    ]


def main() -> None:
    """Print a line for each pool, without the gate and with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60_000)
    parser.add_argument("--concepts", type=int, default=1000)
    asked = parser.parse_args()
    spark = start_local(SparkConfig(master="local[2]", driver_memory="4g", shuffle_partitions=4))
    for name, per_group in {"unrelated": 1, "grouped": 10}.items():
        concepts = grouped_mixture(
            0,
            n_points=asked.points,
            n_groups=asked.concepts // per_group,
            per_group=per_group,
            n_features=N_FEATURES,
        )
        pool, levels = (
            scattered_over(concepts, 0, share=SCATTERED),
            [4 * asked.concepts, asked.concepts],
        )
        with tempfile.TemporaryDirectory() as folder:
            gone, seconds = gated(spark, pool, Path(folder))
        print(f"{name}: the gate took {seconds:.0f} s", flush=True)
        for gate, who in {"gate": gone, "no gate": np.zeros_like(gone)}.items():
            for what, found in zip(("leaves", "tree"), sampled(pool, who, levels), strict=True):
                print(f"{name}, {gate}, {what}: {found}", flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
