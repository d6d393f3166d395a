"""A tiny pool, a config for it, and new events in a ledger; for tests of whole runs."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import Row, SparkSession

from jobs import curate
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.tables.lake import Lake

EMBED, DEDUP = "embed_pool", "find_duplicates"
TUNE, CLUSTER = "tune_tree", "cluster_levels"
SAMPLE, REPORT = "balance_sample", "report_curation"
GIVEN = (
    EMBED,
    DEDUP,
    CLUSTER,
    SAMPLE,
    REPORT,
)  # the stages of a config that leaves nothing to auto
N_POINTS, N_LATER, TARGET_SIZE = 60, 6, 20
SECRET = "hunter2"
Configure = Callable[..., RunConfig]  # from overrides


def write_pool(spark: SparkSession, path: Path, n_points: int) -> None:
    """Append points to a Delta table: a new version of the pool."""
    X = np.random.default_rng(n_points).standard_normal((n_points, 4))
    rows = [(f"{n_points}-{i}", x.tolist(), "ab"[i % 2]) for i, x in enumerate(X)]
    frame = spark.createDataFrame(rows, "id string, vector array<double>, label string")
    frame.coalesce(1).write.format("delta").mode("append").save(str(path))


def config_of(folder: Path, *overrides: str) -> RunConfig:
    plain: dict[str, Any] = {
        "input": {
            "table": f"{folder}/pool",
            "version": 0,
            "embedding": "vector",
            "metadata": ["label"],
            "options": {"password": SECRET, "proxy": f"http://me:{SECRET}@proxy:8080"},
        },
        "output": {"root": f"{folder}/lake"},
        "cluster": {"levels": [8, 3], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": TARGET_SIZE, "share": {"leaves": 0.0}}],
    }
    return parse_config(plain, overrides)


def configured_on(folder: Path, curated: Path) -> Configure:
    """Configure runs of a curated folder's pool, on a copy of its root in another folder."""
    root = shutil.copytree(curated / "lake", folder / "lake")
    return lambda *overrides: config_of(curated, f"output.root={root}", *overrides)


def write_curated(spark: SparkSession, folder: Path) -> Path:
    """Write a pool of two versions, and curate the first."""
    write_pool(spark, folder / "pool", N_POINTS)
    write_pool(spark, folder / "pool", N_LATER)
    curate.run(spark, config_of(folder))
    return folder


@contextmanager
def new_events(lake: Lake) -> Iterator[list[Row]]:
    """Collect the events that the ledger gains meanwhile."""
    known = lake.read("runs").count()
    events: list[Row] = []
    yield events
    events += lake.read("runs").orderBy("at").collect()[known:]


def told(events: list[Row]) -> dict[str, list[str]]:
    """Return every stage's events in order."""
    stages: dict[str, list[str]] = {}
    for row in events:
        stages.setdefault(row.stage, []).append(row.event)
    return stages
