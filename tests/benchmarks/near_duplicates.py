"""Near duplicates beside level 1 of the same pool: time, recall and precision.

A twentieth of the pool are copies of other points at a cosine drawn evenly from .95 to 1. Recall is
over the pairs that brute force finds among some points and all others: the share of which no more
than one point stays. Precision is the share of those turned away that are as similar to the point
that stays for them as the threshold asks. Each turn grows a tree alone and, in another new root,
finds near duplicates and grows a tree of what is left: in a row, as ``curate`` does, so that level
1 has its points from the search. The first turn warms the session.

Run: python -m tests.benchmarks.near_duplicates [--points 200000] [--checked 10000] [--turns 2]
"""

import argparse
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs import cluster_levels, embed_pool, find_duplicates
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, SparkConfig
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.spark.session import start_local
from tests.benchmarks.machine import n_cores
from tests.pools import grouped_mixture
from udfs.kernels.exact.grid import to_grid
from udfs.kernels.near.pairs import cosines
from udfs.near import UNIT

THRESHOLD, N_LEAVES, N_FEATURES = 0.95, 10_000, 256
COPIES = 0.05  # of the pool
_ROWS = 2000  # of brute force at once


def pool_of(n_points: int, seed: int = 0) -> NDArray[np.float32]:
    """Return points of unit length, a twentieth of them near copies of others : (n, 256)."""
    X, _ = grouped_mixture(seed, n_points=n_points, n_features=N_FEATURES)
    rng = np.random.default_rng(seed)
    n_copies = round(COPIES * n_points)
    copies, originals = np.split(rng.permutation(n_points)[: 2 * n_copies], 2)
    x = X[originals]
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    noise -= (noise * x).sum(axis=1, keepdims=True) * x
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosine = rng.uniform(THRESHOLD, 1, (n_copies, 1)).astype(np.float32)
    X[copies] = cosine * x + np.sqrt(1 - cosine**2) * noise
    return X


def write(X: NDArray[np.float32], path: Path) -> None:
    """Write a pool as Parquet."""
    schema = pa.schema({"id": pa.int64(), "embedding": pa.list_(pa.float32())})
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for start in range(0, len(X), 50_000):
            rows = X[start : start + 50_000]
            offsets = np.arange(len(rows) + 1, dtype=np.int32) * X.shape[1]
            vectors = pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))
            ids = pa.array(np.arange(start, start + len(rows)))
            writer.write_table(pa.table([ids, vectors], schema=schema))


def config_of(folder: Path, root: str, **sections: Any) -> RunConfig:
    """Return a config of the pool."""
    plain: dict[str, Any] = {
        "input": {"table": f"{folder}/pool.parquet", "embedding": "embedding"},
        "output": {"root": f"{folder}/{root}"},
        "dedup": {"exact": False},
        "cluster": {"levels": [N_LEAVES], "resampling": {"rounds": 0}},
        "samples": [{"name": "s", "target_size": 1000, "share": {"leaves": 0.0}}],
    }
    return parse_config(plain | sections)


def brute_force(
    X: NDArray[np.float32], n_checked: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of the first points with any others that are similar."""
    grid = to_grid(X, UNIT)
    found = []
    for start in range(0, n_checked, _ROWS):
        scores = X[start : min(start + _ROWS, n_checked)] @ X.T
        row, other = np.nonzero(scores >= THRESHOLD - 1e-4)
        row += start
        keep = row != other
        row, other = row[keep], other[keep]
        near = cosines(grid, grid, row, other) >= THRESHOLD
        found.append((row[near], other[near]))
    one, other = (np.concatenate(part) for part in zip(*found, strict=True))
    return one, other


def measured(run: Run, X: NDArray[np.float32], n_checked: int) -> dict[str, float]:
    """Return recall and precision of a finished search."""
    stored = run.read(find_duplicates.STAGE, find_duplicates.DUPLICATES)
    table = stored.select("id", "keeper_id").toArrow()
    gone, keepers = table["id"].to_numpy(), table["keeper_id"].to_numpy()
    stays = np.ones(len(X), bool)
    stays[gone] = False
    one, other = brute_force(X, n_checked)
    grid = to_grid(X, UNIT)
    return {
        "turned_away": float(len(gone)),
        "pairs": float(len(one)),
        "recall": 1 - float((stays[one] & stays[other]).mean()),
        "precision": float((cosines(grid, grid, gone, keepers) >= THRESHOLD).mean()),
    }


def seconds_of(spark: SparkSession, config: RunConfig, *modules: ModuleType) -> list[float]:
    """Do stages one after the other in one run, and return what each took."""
    run = open_run(spark, config)
    with run.under_way():
        for module in modules:
            run.do(module.STAGE)
    return [run.figures(module.STAGE)["seconds"] for module in modules]


def main(argv: list[str] | None = None) -> int:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--checked", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--memory", default="6g")
    given = parser.parse_args(argv)
    X = pool_of(given.points)
    spark = start_local(
        SparkConfig(master=f"local[{n_cores()}]", driver_memory=given.memory, shuffle_partitions=4)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(X, folder / "pool.parquet")
        for turn in range(given.turns):
            plain = config_of(folder, f"plain-{turn}")
            near = config_of(folder, f"near-{turn}", dedup={"threshold": THRESHOLD})
            _, alone = seconds_of(spark, plain, embed_pool, cluster_levels)
            _, search, after = seconds_of(spark, near, embed_pool, find_duplicates, cluster_levels)
            print(
                f"turn {turn}: level 1 alone {alone:.1f} s; near duplicates {search:.1f} s and "
                f"level 1 after them {after:.1f} s: they add {(search + after) / alone - 1:.2f} "
                f"of it, {search / alone:.2f} by themselves",
                flush=True,
            )
        figures = measured(open_run(spark, near), X, min(given.checked, given.points))
        print(", ".join(f"{name} {value:.6g}" for name, value in figures.items()), flush=True)
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
