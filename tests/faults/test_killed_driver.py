"""SIGKILL at chosen points and random times, then the same command again: the same tables.

Run: make faults ARGS="-k killed" (an hour and a half); ARGS="-k started" picks.
"""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.config.loading import load_config
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from tests.faults.driver import Driver, Point
from tests.faults.lake import SHORT, STAGES, Content, arguments, content, undisturbed, write_lake

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

POINTS = [  # of a short run
    Point("", 2.0),  # before there is a session
    *(Point(f"stage={stage} event=started") for stage in STAGES),
    *(Point(f"stage={stage} event=started", 1.5) for stage in STAGES),
    *(Point(rf"stage={stage} seconds=", 0.0) for stage in STAGES),  # the tables are written
    *(Point(rf"stage={stage} event=finished", 0.0) for stage in STAGES),
    Point("stage=report_curation event=finished", 1.0),  # while it publishes
]
LOOP_POINTS = [  # of a one-minute level loop, which is killed at each of them in turn
    *(Point(rf"checkpoint={n} ", 0.3) for n in (1, 2, 3, 4)),
    Point("checkpoint=6 ", 2.5),
    *(Point(rf"checkpoint={n} ", 0.3) for n in (8, 10)),
]
LOOP_ENDS = "stage=cluster_levels event=finished"
N_RANDOM = 20


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: its config and its result.

    Attributes
    ----------
    cluster : section of the config; None for the long level loop
    """

    folder: Path
    cluster: dict[str, Any] | None
    content: Content

    def command(self, root: Path) -> list[str]:
        return arguments(self.folder, root, cluster=self.cluster)


def run_whole(spark: SparkSession, folder: Path, cluster: dict[str, Any] | None) -> Whole:
    return Whole(folder, cluster, undisturbed(spark, folder, cluster=cluster))


@pytest.fixture(scope="module")
def short(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = write_lake(tmp_path_factory.mktemp("short"), n_points=10_000)
    return run_whole(spark, folder, SHORT)


@pytest.fixture(scope="module")
def long(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return run_whole(spark, write_lake(tmp_path_factory.mktemp("long")), None)


def check_ledger(run: Run, killed: Sequence[Driver]) -> None:
    """Check that no finished stage and no checkpointed iteration was repeated."""
    events = run.lake.read("runs").orderBy("at").collect()
    finished = Counter(row.stage for row in events if row.event == "finished")
    assert finished == Counter(dict.fromkeys(STAGES, 1))
    last_start = {row.stage: row.at for row in events if row.event == "started"}
    ends = {row.stage: row.at for row in events if row.event == "finished"}
    assert all(last_start[stage] < ends[stage] for stage in STAGES)
    in_loop = [d for d in killed if d.last_checkpoint() and not d.says(LOOP_ENDS, timeout=0)]
    resumed = [row.metrics["checkpoint"] for row in events if row.event == "resumed"]
    assert len(resumed) == len(in_loop)
    assert all(at >= d.last_checkpoint() for at, d in zip(resumed, in_loop, strict=True))


def kill_and_finish(spark: SparkSession, whole: Whole, root: Path, points: Sequence[Point]) -> None:
    killed = [Driver(whole.command(root)).run(point) for point in points]
    for driver in killed:
        assert driver.exit_code == -9, "the point was never reached: " + driver.end_of_log()
    again = Driver(whole.command(root)).run()
    assert again.exit_code == 0, again.end_of_log()
    check_ledger(open_run(spark, load_config(whole.command(root)[1])), killed)
    assert content(spark, whole.folder, root) == whole.content


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_killed_run_is_finished_by_its_command(
    spark: SparkSession, short: Whole, tmp_path: Path, point: Point
) -> None:
    kill_and_finish(spark, short, tmp_path / "lake", [point])


def test_a_level_loop_goes_on_from_its_checkpoint_however_often_it_is_killed(
    spark: SparkSession, long: Whole, tmp_path: Path
) -> None:
    kill_and_finish(spark, long, tmp_path / "lake", LOOP_POINTS)


def test_a_run_gets_through_however_often_it_is_killed_at_any_time(
    spark: SparkSession, short: Whole, tmp_path: Path
) -> None:
    began = time.monotonic()
    assert Driver(short.command(tmp_path / "undisturbed")).run().exit_code == 0
    seconds = time.monotonic() - began  # of a process, which must start its JVM
    rng, n_kills = random.Random(0), 0
    while n_kills < N_RANDOM:
        root = tmp_path / f"lake-{n_kills}"
        while True:
            at = Point("", rng.uniform(5, seconds))
            driver = Driver(short.command(root)).run(at)
            if driver.exit_code == 0:
                break
            assert driver.exit_code == -9, driver.end_of_log()
            n_kills += 1
        assert content(spark, short.folder, root) == short.content
