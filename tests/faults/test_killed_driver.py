"""SIGKILL at chosen points and at random times, the same command again, the same tables.

Run: make faults (hours); ARGS="-k started" picks.
"""

import random
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.lake.keys import STAGES
from jobs.lake.loading import load_config
from jobs.lake.runs import Run, open_run
from tests.faults.driver import Driver, Point
from tests.faults.lake import Content, arguments, content, undisturbed, write_lake

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

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
    return write_lake(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def expected(spark: SparkSession, folder: Path) -> Content:
    """Run once without a fault."""
    return undisturbed(spark, folder)


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


def kill_and_finish(spark: SparkSession, folder: Path, root: Path, point: Point) -> Content:
    killed = Driver(arguments(folder, root)).run(point)
    assert killed.exit_code == -9, "the point was never reached: " + killed.end_of_log()
    again = Driver(arguments(folder, root)).run()
    assert again.exit_code == 0, again.end_of_log()
    check_ledger(open_run(spark, load_config(arguments(folder, root)[1])), killed)
    return content(spark, folder, root)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_killed_run_is_finished_by_its_command(
    spark: SparkSession,
    folder: Path,
    expected: Content,
    tmp_path: Path,
    point: Point,
) -> None:
    assert kill_and_finish(spark, folder, tmp_path / "lake", point) == expected


@pytest.mark.parametrize("i", range(N_RANDOM))
def test_a_run_killed_at_any_time_is_finished_by_its_command(
    spark: SparkSession,
    folder: Path,
    expected: Content,
    tmp_path: Path,
    i: int,
) -> None:
    seconds = random.Random(i).uniform(5, LONGEST)
    killed = Driver(arguments(folder, tmp_path / "lake")).run(Point("", seconds))
    again = Driver(arguments(folder, tmp_path / "lake")).run()
    assert (killed.exit_code, again.exit_code) in ((-9, 0), (0, 0))
    assert content(spark, folder, tmp_path / "lake") == expected
