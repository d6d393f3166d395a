"""Fifty runs on one root, one after another in one process: neither memory nor files pile up.

Run: make faults ARGS="-k soak" (up to an hour)
"""

import gc
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from pyspark.sql import SparkSession

from jobs import curate, list_runs
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.tables.lake import Lake

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200)]

N_RUNS, WARM = 50, 20  # runs in all; runs until the JVM has compiled everything it will
CLEANED_EVERY = 5  # runs
N_POINTS, N_ADDED = 2000, 10
N_COLLECTIONS = 3
MIB = 1 << 20


def config_of(folder: Path) -> RunConfig:
    return parse_config(
        {
            "input": {"table": f"{folder}/pool", "embedding": "vector"},
            "output": {"root": f"{folder}/lake"},
            "cluster": {"levels": [50, 5], "resampling": {"rounds": 1}},
            "samples": [{"name": "s", "target_size": 100, "share": {"leaves": 0.0}}],
        }
    )


def add_points(spark: SparkSession, folder: Path, n_points: int, seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((n_points, 8))
    rows = [(f"{seed}-{i}", x.tolist()) for i, x in enumerate(X)]
    frame = spark.createDataFrame(rows, "id string, vector array<double>").coalesce(1)
    frame.write.format("delta").mode("append").save(f"{folder}/pool")


def resident(spark: SparkSession) -> tuple[float, float]:
    """Return what Python and, after garbage collection, the JVM's heap hold : MiB.

    One collection tells Spark what to drop, the next frees it: the least of a few measurements.
    """
    gc.collect()
    jvm = spark.sparkContext._jvm
    runtime = jvm.java.lang.Runtime.getRuntime()
    heap = []
    for _ in range(N_COLLECTIONS):
        jvm.java.lang.System.gc()
        heap.append(runtime.totalMemory() - runtime.freeMemory())
        time.sleep(1)
    return psutil.Process().memory_info().rss / MIB, min(heap) / MIB


def data_files(root: Path) -> int:
    """Count files, except the tables' logs, which Delta itself trims after 30 days."""
    return sum(path.is_file() and "_delta_log" not in path.parts for path in root.rglob("*"))


def test_fifty_runs_in_a_row_leave_nothing_behind(spark: SparkSession, tmp_path: Path) -> None:
    add_points(spark, tmp_path, N_POINTS, 0)
    config = config_of(tmp_path)
    python, heap, files = [], [], []
    for i in range(1, N_RUNS + 1):
        add_points(spark, tmp_path, N_ADDED, i)
        curate.run(spark, config)
        if i % CLEANED_EVERY == 0:
            list_runs.clean(spark, config, older_than_days=0)
            files.append(data_files(tmp_path / "lake"))
            n_rows = Lake(spark, config.output).read("embeddings").count()
            assert n_rows == N_POINTS + N_ADDED * i  # of the last run only
        at = resident(spark)
        python.append(at[0])
        heap.append(at[1])
        print(f"run={i} python={at[0]:.0f} heap={at[1]:.0f} files={files[-1:]}", flush=True)
    n_warm = WARM // CLEANED_EVERY
    assert max(files[n_warm:]) <= max(files[:n_warm])
    assert np.median(python[-5:]) < 1.05 * np.median(python[WARM : WARM + 5])
    assert np.median(heap[-5:]) < 1.2 * np.median(heap[WARM : WARM + 5])
