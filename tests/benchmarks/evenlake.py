"""Evenlake: level 1 from the embeddings table, and one assignment pass over cached blocks."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs import cluster_levels, embed_pool
from jobs.clustering.spark_blocks import SparkBlocks
from jobs.clustering.spark_points import SparkPoints
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from tests.benchmarks.sessions import start_session
from tests.benchmarks.tasks import Files, Fit, Stopwatch, Task
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.passes.steps.sums import AssignAndSum

_SEED = 0
_PASSES = 5  # assignment passes timed in one process; their median counts
_WARM_UP = 12  # passes before those, or as many as fit in WARM_UP_SECONDS, while the JVM compiles
_WARM_UP_SECONDS = 10


def fit_evenlake(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """Level 1 from the committed embeddings: packing, solving and table writes."""
    spark = start_session(task)
    levels = {"levels": [task.n_clusters], "resampling": {"rounds": 0}}
    with tempfile.TemporaryDirectory(dir=Path(files.pool).parent) as root:
        config = config_for(files, root, levels, task.n_clusters)
        run = open_run(spark, config)
        run.do(embed_pool.STAGE)
        watch.start()
        run.do(cluster_levels.STAGE)
        figures = run.figures(cluster_levels.STAGE)
        own: dict[str, float | str] = {f"stage_{name}": value for name, value in figures.items()}
        centroids, labels, ran = _read_back(run, task)
    spark.stop()
    return Fit(figures["seconds"], ran, None, own, centroids, labels)


def config_for(files: Files, root: str, cluster: dict[str, Any], target_size: int) -> RunConfig:
    """Return the config that curates the benchmark's pool into a root of its own."""
    return parse_config(
        {
            "seed": _SEED,
            "input": {"table": files.pool, "embedding": "embedding"},
            "output": {"root": root},
            "dedup": {"exact": False},
            "cluster": cluster,
            "samples": [{"name": "balanced", "target_size": target_size, "share": {"leaves": 0.0}}],
        }
    )


def _read_back(run: Run, task: Task) -> tuple[NDArray[np.float32], NDArray[np.int64], str]:
    """Return centroids, labels by id, and the iterations that the stage logged."""
    key = run.keys["cluster_levels"]
    nodes = run.lake.read("nodes", key).where("level = 1").orderBy("node_id")
    vectors = nodes.select("centroid").toArrow()["centroid"].combine_chunks().flatten()
    points = run.lake.read("assignments", key).select("id", "leaf_id").toArrow()
    labels = np.full(task.n_points, -1, np.int64)
    labels[points["id"].to_numpy()] = points["leaf_id"].to_numpy()
    log = run.lake.read("iterations", key).where("level = 1").groupBy("algorithm").count()
    ran = " + ".join(f"{n} {name}" for name, n in sorted(log.collect(), reverse=True))
    return vectors.to_numpy().reshape(-1, task.n_features), labels, ran


def pass_over_blocks(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """One assignment pass over cached blocks, centroids shipped and sums merged; no update."""
    spark = start_session(task)
    unit = grid_unit(1.0)
    X = np.load(files.vectors, mmap_mode="r")
    chosen = np.sort(np.random.default_rng(_SEED).choice(len(X), task.n_clusters, replace=False))
    step = AssignAndSum(Centroids(to_grid(X[chosen], unit)))
    rows = spark.read.parquet(files.pool)
    pool = SparkPoints(rows, len(X), task.n_features, unit=unit, seed=_SEED)
    source = SparkBlocks(
        pool.pack(), n_rows=pool.n_rows, n_features=pool.n_features, n_blocks=pool.n_blocks
    )
    source.reduce(step)  # fills the cache, starts the workers
    begun = time.perf_counter()
    for _ in range(_WARM_UP):
        if time.perf_counter() < begun + _WARM_UP_SECONDS:
            source.reduce(step)
    watch.start()
    seconds = []
    for _ in range(_PASSES):
        began = time.perf_counter()
        source.reduce(step)
        seconds.append(time.perf_counter() - began)
    spark.stop()
    median = float(np.median(seconds))
    flops = 2.0 * task.n_points * task.n_clusters * task.n_features / median
    return Fit(median, "1 pass", None, {"flops": flops})
