"""SIGKILL an executor in every stage: the run finishes, with the same tables.

Run: make faults ARGS="-k executor" (about 20 minutes)
"""

import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession

from tests.cluster.sessions import MASTER, cluster_environment
from tests.faults.driver import Driver
from tests.faults.lake import STAGES, Content, arguments, content, undisturbed, write_lake

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

# split, so that executors solve cells
CLUSTER = {"levels": [3000, 300], "solver": "spark", "split": 30, "resampling": {"rounds": 1}}
# flat, so that there are passes over the blocks that executors keep
FLAT = CLUSTER | {"levels": [400, 50], "split": "off", "checkpoint_interval": 1}
SECONDS = {"balance_sample": 0.2}  # into the stage; 1.5 for the others


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lake(tmp_path_factory.mktemp("executor"))


@pytest.fixture(scope="module")
def expected(spark: SparkSession, folder: Path) -> Content:
    return undisturbed(spark, folder, cluster=CLUSTER)


def executors_of(driver: Driver) -> list[psutil.Process]:
    """Return the executors' JVMs of a driver's process group."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        is_executor = any(
            "CoarseGrainedExecutorBackend" in x for x in process.info["cmdline"] or ()
        )
        if is_executor and driver.has(process.pid):
            found.append(process)
    return found


def lose_an_executor(
    folder: Path, root: Path, cluster: dict[str, Any], at: str, wait: float
) -> None:
    """Run the command, kill an executor some seconds after a line of its log, and see it end."""
    session = {"master": MASTER, "driver_memory": "2g", "shuffle_partitions": 2}
    command = arguments(folder, root, cluster=cluster, spark=session)
    driver = Driver(command, cluster_environment()).start()
    assert driver.says(at), driver.end_of_log()
    time.sleep(wait)
    victims = executors_of(driver)
    assert len(victims) == 2, driver.end_of_log()
    victims[0].send_signal(signal.SIGKILL)
    stage = at.split()[0]
    assert not any(f"{stage} event=finished" in line for line in driver.lines)
    assert driver.wait() == 0, driver.end_of_log()


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_outlives_its_executors(
    spark: SparkSession, folder: Path, expected: Content, tmp_path: Path, stage: str
) -> None:
    root, started = tmp_path / "lake", f"stage={stage} event=started"
    lose_an_executor(folder, root, CLUSTER, started, SECONDS.get(stage, 1.5))
    assert content(spark, folder, root) == expected


def test_a_flat_level_outlives_an_executor_and_the_blocks_it_kept(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    expected = undisturbed(spark, folder, "flat", cluster=FLAT)
    lose_an_executor(folder, tmp_path / "lake", FLAT, "stage=cluster_levels checkpoint=1", 0.0)
    assert content(spark, folder, tmp_path / "lake") == expected
