"""Curate a pool into samples and return the exact bytes of the result, for contract 1.

Run as a script, it does so in its own process, so that the BLAS kernel can be chosen:
``OPENBLAS_CORETYPE=Haswell python -m tests.jobs.determinism POOL ROOT SOLVER SPLIT BLAS_THREADS``.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs import balance_sample, cluster_levels, embed_pool
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, SparkConfig
from jobs.runs.opening import open_run
from jobs.spark.session import local_settings

N_FEATURES = 24
SORTED_BY = {
    "nodes": ["level", "node_id"],
    "assignments": ["id"],
    "samples": ["sample", "id", "replica"],
}


def tied_pool(seed: int) -> NDArray[np.float32]:
    """Return 20,600 vectors with duplicates and exact ties among them."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12_000, N_FEATURES)).astype(np.float32)
    doubled = X[rng.integers(0, 500, 4_000)]  # up to a dozen copies of one vector
    mirrored = X[:4_600] * np.float32(-1)  # as far from any symmetric centroid as its twin
    return np.vstack([X, doubled, mirrored])


def write_files(X: NDArray[np.float32], folder: Path, n_files: int, seed: int) -> None:
    """Write (id, embedding) rows as Parquet files, shuffled."""
    folder.mkdir(parents=True)
    order = np.random.default_rng(seed).permutation(len(X))
    for i, rows in enumerate(np.array_split(order, n_files)):
        ids = pa.array([f"p{j:06d}" for j in rows])
        table = pa.table({"id": ids, "embedding": pa.array(list(X[rows]))})
        pq.write_table(table, folder / f"part-{i:03d}.parquet")


def config_of(pool: Path, root: Path, solver: str, split: str) -> RunConfig:
    return parse_config(
        {
            "seed": 5,
            "input": {"table": str(pool), "embedding": "embedding"},
            "output": {"root": str(root)},
            "embed": {"normalize": False},
            "dedup": {"exact": False},  # ties
            "cluster": {
                "levels": [100, 12],
                "solver": solver,
                "split": split if split == "off" else int(split),
                "algorithm": "minibatch",
                "max_iter": 4,
                "resampling": {"rounds": 1, "points": "auto"},
            },
            "samples": [
                {"name": "small", "target_size": 500, "share": {"leaves": 0.0}},
                {"name": "large", "target_size": 5000, "share": {"leaves": 0.0}},
                {
                    "name": "core",
                    "target_size": 1000,
                    "strategy": "closest",
                    "replicas": 2,
                    "share": {"leaves": 0.0},
                },
            ],
        }
    )


def curated_bytes(
    spark: SparkSession, pool: Path, root: Path, solver: str, split: str
) -> dict[str, str]:
    """Embed, cluster and sample; return a hash of each table's sorted rows, byte by byte.

    What the root already holds is reused.
    """
    run = open_run(spark, config_of(pool, root, solver, split))
    for job in (embed_pool, cluster_levels, balance_sample):
        run.do(job.STAGE)
    assert run.outcome(cluster_levels.STAGE).n_blocks >= 64
    keys = {"samples": run.keys["balance_sample"]}
    return {
        table: _hash_sorted(
            run.lake.read(table, keys.get(table, run.keys["cluster_levels"])).toArrow(), by
        )
        for table, by in SORTED_BY.items()
    }


def _hash_sorted(table: pa.Table, by: list[str]) -> str:
    if "tree_key" in table.column_names:
        table = table.drop_columns(["tree_key"])
    ordered = table.sort_by([(column, "ascending") for column in by]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ordered.schema) as stream:
        stream.write_table(ordered)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def main() -> None:
    """Print the hashes as JSON."""
    pool, root, solver, split, blas_threads = sys.argv[1:]
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = local_settings(SparkConfig(driver_memory="2g", shuffle_partitions=3)) | {
        "spark.executorEnv.OPENBLAS_NUM_THREADS": blas_threads,
        "spark.executorEnv.OMP_NUM_THREADS": blas_threads,
    }
    builder = SparkSession.builder.master("local[2]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    print(json.dumps(curated_bytes(spark, Path(pool), Path(root), solver, split)))
    spark.stop()


if __name__ == "__main__":
    main()
