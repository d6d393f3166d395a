"""SIGKILL at chosen points and at random times, the same command again, the same tables.

Run: make faults ARGS="-k killed" (two hours); ARGS="-k started" picks.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.lake.keys import STAGES
from jobs.lake.loading import load_config
from jobs.lake.runs import Run, open_run
from tests.faults.driver import Driver, Point
from tests.faults.lake import SHORT, Content, arguments, content, undisturbed, write_lake

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

POINTS = [  # of a short run
    Point("", 2.0),  # before there is a session
    *(Point(f"stage={stage} event=started") for stage in STAGES),
    *(Point(f"stage={stage} event=started", 1.5) for stage in STAGES),
    *(Point(rf"stage={stage} seconds=", 0.0) for stage in STAGES),  # the tables are written
    *(Point(rf"stage={stage} event=finished", 0.0) for stage in STAGES),
    Point("stage=report_curation event=finished", 1.0),  # while it publishes
]
LOOP_POINTS = [  # of a level loop of a minute
    *(Point(rf"checkpoint={n} ", 0.3) for n in (1, 2, 4, 6, 8, 10)),
    Point("checkpoint=3 ", 2.5),
]
N_RANDOM = 20


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: how it is configured, what came out, how long it took.

    Attributes
    ----------
    cluster : section of the config; None for the long level loop
    """

    folder: Path
    cluster: dict[str, Any] | None
    content: Content
    seconds: float

    def command(self, root: Path) -> list[str]:
        return arguments(self.folder, root, cluster=self.cluster)


def run_whole(spark: SparkSession, folder: Path, cluster: dict[str, Any] | None) -> Whole:
    began = time.monotonic()
    found = undisturbed(spark, folder, cluster=cluster)
    return Whole(folder, cluster, found, time.monotonic() - began)


@pytest.fixture(scope="module")
def short(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = write_lake(tmp_path_factory.mktemp("short"), n_points=10_000)
    return run_whole(spark, folder, SHORT)


@pytest.fixture(scope="module")
def long(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return run_whole(spark, write_lake(tmp_path_factory.mktemp("long")), None)


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


def kill_and_finish(spark: SparkSession, whole: Whole, root: Path, point: Point) -> None:
    killed = Driver(whole.command(root)).run(point)
    assert killed.exit_code == -9, "the point was never reached: " + killed.end_of_log()
    again = Driver(whole.command(root)).run()
    assert again.exit_code == 0, again.end_of_log()
    check_ledger(open_run(spark, load_config(whole.command(root)[1])), killed)
    assert content(spark, whole.folder, root) == whole.content


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_killed_run_is_finished_by_its_command(
    spark: SparkSession, short: Whole, tmp_path: Path, point: Point
) -> None:
    kill_and_finish(spark, short, tmp_path / "lake", point)


@pytest.mark.parametrize("point", LOOP_POINTS, ids=str)
def test_a_level_loop_killed_inside_goes_on_from_its_checkpoint(
    spark: SparkSession, long: Whole, tmp_path: Path, point: Point
) -> None:
    kill_and_finish(spark, long, tmp_path / "lake", point)


@pytest.mark.parametrize("i", range(N_RANDOM))
def test_a_run_killed_at_any_time_is_finished_by_its_command(
    spark: SparkSession, short: Whole, tmp_path: Path, i: int
) -> None:
    root, seconds = tmp_path / "lake", random.Random(i).uniform(5, short.seconds)
    killed = Driver(short.command(root)).run(Point("", seconds))
    again = Driver(short.command(root)).run()
    assert (killed.exit_code, again.exit_code) in ((-9, 0), (0, 0)), again.end_of_log()
    assert content(spark, short.folder, root) == short.content
