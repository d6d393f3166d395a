"""Checkpoints in the lake: a stopped level loop resumes, and ends with the same tables."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import cluster_levels, embed_pool
from jobs.cluster_levels import ASSIGNMENTS, ITERATIONS, NODES
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.runs.checkpoints import CHECKPOINTS
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.tables.lake import Written
from jobs.tables.table import Table
from tests.jobs.determinism import tied_pool, write_files
from tests.jobs.tiny import new_events, told

pytestmark = pytest.mark.whole

TREE = {"levels": [20, 4], "resampling": {"rounds": 1}, "max_iter": 3}
SAMPLES = [{"name": "s", "target_size": 200, "share": {"leaves": 0}}]
TABLES = (NODES, ASSIGNMENTS, ITERATIONS)


class Gone(BaseException):
    """The driver is killed."""


def config_of(folder: Path, *, interval: int = 300, **cluster: Any) -> RunConfig:
    """Return a config; at interval 0, every step writes a checkpoint."""
    config = parse_config(
        {
            "input": {"table": f"{folder}/pool", "embedding": "embedding"},
            "output": {"root": f"{folder}/lake"},
            "dedup": {"exact": False},
            "cluster": TREE | cluster,
            "samples": SAMPLES,
        }
    )
    settings = config.cluster.model_copy(update={"checkpoint_interval": interval})
    return config.model_copy(update={"cluster": settings})


def digests(run: Run) -> dict[Table, Written]:
    return {table: run.lake.describe(table, run.key(cluster_levels.STAGE)) for table in TABLES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tied_pool(0)[:1000], tmp_path / "pool", 2, seed=0)
    return tmp_path


def test_a_stopped_level_loop_goes_on_from_its_checkpoint(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(folder, interval=0)
    embed_pool.run(spark, config)

    n_seen, stop_at = 0, 5
    log = cluster_levels._IterationLog
    keep = log.__call__

    def stops(self, *what) -> None:
        nonlocal n_seen
        n_seen += 1
        if n_seen == stop_at:
            raise Gone
        keep(self, *what)

    run = open_run(spark, config)
    monkeypatch.setattr(log, "__call__", stops)
    with new_events(run.lake) as events, pytest.raises(Gone):
        run.do(cluster_levels.STAGE)
    assert told(events) == {"cluster_levels": ["started", "failed"]}
    assert run.lake.read(CHECKPOINTS, run.key(cluster_levels.STAGE)).count() >= 2

    stop_at = 0
    n_before = n_seen
    run = open_run(spark, config_of(folder))
    with new_events(run.lake) as events:
        run.do(cluster_levels.STAGE)
    assert told(events) == {"cluster_levels": ["started", "resumed", "finished"]}
    resumed = next(row for row in events if row.event == "resumed")
    assert "phase=lloyd" in resumed.notes
    assert resumed.metrics["checkpoint"] > 1
    found = digests(run)
    n_iterations = found[ITERATIONS].n_rows
    assert n_seen - n_before == n_iterations - 4  # the four in the checkpoint are not repeated
    assert run.lake.read(CHECKPOINTS, run.key(cluster_levels.STAGE)).isEmpty()

    # the same as without a stop
    whole = folder / "whole"
    whole.mkdir()
    (whole / "pool").symlink_to(folder / "pool")
    monkeypatch.setattr(log, "__call__", keep)
    config = config_of(whole)
    embed_pool.run(spark, config)
    cluster_levels.run(spark, config)
    assert digests(open_run(spark, config)) == found


def test_a_refresh_starts_from_nothing(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(folder, interval=0, levels=[6], resampling={"rounds": 0})
    embed_pool.run(spark, config)
    with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="no disk"):
        broken.setattr(cluster_levels, "assign_points", _fail)
        cluster_levels.run(spark, config)
    run = open_run(spark, config, is_refresh=True)
    with new_events(run.lake) as events:
        run.do(cluster_levels.STAGE)
    assert told(events) == {"cluster_levels": ["cleaned", "started", "finished"]}  # not resumed


def _fail(*_: object) -> None:
    raise RuntimeError("no disk")
