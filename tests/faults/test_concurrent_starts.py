"""Many processes on one root: one does the work, none gets in the way, a zombie changes nothing.

Run: make faults ARGS="-k concurrent" (about 20 minutes)
"""

import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.config.loading import load_config
from jobs.runs.opening import open_run
from tests.faults.driver import Driver
from tests.faults.lake import SHORT, arguments, content, undisturbed, write_lake

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

N_STARTS = 10
SMALL = {"driver_memory": "1g"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lake(tmp_path_factory.mktemp("concurrent"))


def events_of(spark: SparkSession, root: Path) -> list[tuple[str, str]]:
    run = open_run(spark, load_config(str(root.with_suffix(".yaml"))))
    rows = run.lake.read("runs").orderBy("at").select("stage", "event").collect()
    return [(row.stage, row.event) for row in rows]


def test_ten_starts_of_one_run_do_it_once(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    expected = undisturbed(spark, folder, cluster=SHORT)
    root = tmp_path / "lake"
    command = arguments(folder, root, cluster=SHORT, spark=SMALL)
    drivers = [Driver(command).start() for _ in range(N_STARTS)]
    codes = [driver.wait() for driver in drivers]
    assert codes == [0] * N_STARTS, next(d.end_of_log() for d in drivers if d.exit_code)
    assert content(spark, folder, root) == expected
    told = Counter(events_of(spark, root))
    stages = {stage for stage, _ in told}
    assert {s: (told[s, "started"], told[s, "finished"]) for s in stages} == dict.fromkeys(
        stages, (1, 1)
    )
    assert all(told[stage, "reused"] == N_STARTS - 1 for stage in stages)


def test_four_runs_at_once_are_as_one_after_another(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    def commands(root: Path) -> list[list[str]]:
        sample = {"target_size": 500, "share": {"leaves": 0.0}}
        return [
            arguments(
                folder,
                root.with_name(f"{root.name}{i}"),
                cluster=SHORT | {"levels": levels},
                spark=SMALL,
                output={"root": str(root)},
                samples=[sample | {"name": f"s{i}", "target_size": 500 + i}],
            )
            for i, levels in enumerate(([200, 20], [200, 20], [100, 10], [50]))
        ]

    serial, at_once = tmp_path / "serial", tmp_path / "at_once"
    for command in commands(serial):
        assert Driver(command).run().exit_code == 0
    drivers = [Driver(command).start() for command in commands(at_once)]
    assert [driver.wait() for driver in drivers] == [0] * 4
    found = []
    for root in (serial, at_once):
        runs = [
            open_run(spark, load_config(str(root.with_name(f"{root.name}{i}.yaml"))))
            for i in range(4)
        ]
        found.append(
            [
                run.lake.describe(table, run.keys[stage])
                for run in runs
                for stage, table in (
                    ("embed_pool", "embeddings"),
                    ("cluster_levels", "nodes"),
                    ("cluster_levels", "assignments"),
                    ("balance_sample", "samples"),
                )
            ]
            + [sorted(run.lake.read(f"sample_s{i}").collect()) for i, run in enumerate(runs)]
        )
    assert found[0] == found[1]
    told = Counter((row.stage_key, row.event) for row in runs[0].lake.read("runs").collect())
    assert {n for (_, event), n in told.items() if event == "finished"} == {1}


@pytest.mark.parametrize("line", [r"checkpoint=3 ", "stage=cluster_levels event=started"])
def test_a_zombie_that_wakes_after_its_lease_changes_nothing(
    spark: SparkSession, folder: Path, tmp_path: Path, line: str
) -> None:
    cluster = {"levels": [2000, 200], "resampling": {"rounds": 12}, "checkpoint_interval": 2}
    expected = undisturbed(spark, folder, "unfrozen", cluster=cluster)
    root = tmp_path / "lake"
    command = arguments(folder, root, cluster=cluster, output={"lease_seconds": 10})
    zombie = Driver(command).start()
    assert zombie.says(line), zombie.end_of_log()
    zombie.send(signal.SIGSTOP)
    other = Driver(command).run()
    assert other.exit_code == 0, other.end_of_log()
    before = content(spark, folder, root), events_of(spark, root)
    assert before[0] == expected

    zombie.send(signal.SIGCONT)
    assert zombie.wait() == 1, zombie.end_of_log()
    assert "another process took over" in zombie.end_of_log()
    time.sleep(1)
    assert (content(spark, folder, root), events_of(spark, root)) == before
