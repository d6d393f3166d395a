"""SIGKILL at chosen points and at random times, the same command again, the same tables.

Run: make faults (hours); ARGS="-k started" picks.
"""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs.lake.config import as_dict
from jobs.lake.keys import STAGES
from jobs.lake.loading import load_config
from jobs.lake.runs import Run, open_run
from tests.faults.driver import Driver, Point
from tests.pools import grouped_mixture
from tests.quality.mixture import config_for, write_pool

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

TABLES = {
    "embed_pool": ("embeddings", "rejects", "metadata"),
    "tune_tree": ("report",),
    "cluster_levels": ("nodes", "assignments", "iterations"),
    "balance_sample": ("samples", "allocations"),
    "report_curation": ("report",),
}
POINTS = [
    Point("", 2.0),  # before there is a session
    *(Point(f"stage={stage} event=started") for stage in STAGES),
    *(Point(f"stage={stage} event=started", 1.5) for stage in STAGES),
    *(Point(rf"stage={stage} seconds=", 0.0) for stage in STAGES),  # the tables are written
    *(Point(rf"stage={stage} event=finished", 0.0) for stage in STAGES),
    *(Point(rf"checkpoint={n} ", 0.3) for n in (1, 2, 4, 6, 8, 10)),
    Point("checkpoint=3 ", 2.5),
    Point("stage=report_curation event=finished", 1.0),  # while it publishes
]
N_RANDOM = 20
LONGEST = 150.0  # seconds of an undisturbed run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    write_pool(grouped_mixture(0, n_points=60_000, n_features=64), folder / "pool.parquet")
    return folder


def arguments(folder: Path, root: Path) -> list[str]:
    """Write the config of a root; a level loop of a minute, a checkpoint every two seconds."""
    cluster = {"resampling": {"rounds": 12}, "checkpoint_interval": 2}
    config = config_for(folder / "pool.parquet", root, 5000, cluster, share="auto")
    spark = {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2}
    path = root.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(as_dict(config) | {"spark": spark}))
    return ["--config", str(path)]


def digests(spark: SparkSession, folder: Path, root: Path) -> dict[str, tuple[int, str]]:
    """Give every table's rows and digest, stage by stage, and the published sample's."""
    run = open_run(spark, load_config(arguments(folder, root)[1]))
    found = {
        f"{stage}.{table}": run.lake.describe(table, run.keys[stage])
        for stage in STAGES
        for table in TABLES[stage]
    }
    published = run.lake.read("sample_balanced")
    return found | {"sample": (published.count(), str(sorted(published.collect())))}


@pytest.fixture(scope="module")
def expected(spark: SparkSession, folder: Path) -> Iterator[dict[str, tuple[int, str]]]:
    """Run once without a fault."""
    root = folder / "whole"
    assert Driver(arguments(folder, root)).run().exit_code == 0
    yield digests(spark, folder, root)


def check_ledger(run: Run, killed: Driver) -> None:
    """See that no finished stage, and no checkpointed iteration, was done again."""
    events = run.lake.read("runs").orderBy("at").collect()
    finished = Counter(row.stage for row in events if row.event == "finished")
    assert finished == Counter(dict.fromkeys(STAGES, 1))
    was_finished = [
        s for s in STAGES if any(f"stage={s} event=finished" in x for x in killed.lines)
    ]
    last_start = {row.stage: row.at for row in events if row.event == "started"}
    ends = {row.stage: row.at for row in events if row.event == "finished"}
    for stage in was_finished:
        assert last_start[stage] < ends[stage]
    in_loop = killed.last_checkpoint() and "cluster_levels" not in was_finished
    resumed = [row for row in events if row.event == "resumed"]
    if in_loop:
        assert [row.metrics["checkpoint"] for row in resumed] >= [killed.last_checkpoint()]


def kill_and_finish(
    spark: SparkSession, folder: Path, root: Path, point: Point
) -> dict[str, tuple[int, str]]:
    killed = Driver(arguments(folder, root)).run(point)
    assert killed.exit_code == -9, "the point was never reached: " + "\n".join(killed.lines[-5:])
    again = Driver(arguments(folder, root)).run()
    assert again.exit_code == 0, "\n".join(again.lines[-20:])
    check_ledger(open_run(spark, load_config(arguments(folder, root)[1])), killed)
    return digests(spark, folder, root)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_killed_run_is_finished_by_its_command(
    spark: SparkSession,
    folder: Path,
    expected: dict[str, tuple[int, str]],
    tmp_path: Path,
    point: Point,
) -> None:
    assert kill_and_finish(spark, folder, tmp_path / "lake", point) == expected


@pytest.mark.parametrize("i", range(N_RANDOM))
def test_a_run_killed_at_any_time_is_finished_by_its_command(
    spark: SparkSession,
    folder: Path,
    expected: dict[str, tuple[int, str]],
    tmp_path: Path,
    i: int,
) -> None:
    seconds = random.Random(i).uniform(5, LONGEST)
    killed = Driver(arguments(folder, tmp_path / "lake")).run(Point("", seconds))
    again = Driver(arguments(folder, tmp_path / "lake")).run()
    assert (killed.exit_code, again.exit_code) in ((-9, 0), (0, 0))
    assert digests(spark, folder, tmp_path / "lake") == expected
