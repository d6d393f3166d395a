"""SIGKILL a worker of a standalone cluster midway: the run finishes on the other, the same tables.

Run: make faults ARGS="-k worker"
"""

import signal
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.cluster.servers import bare_python, standalone
from tests.cluster.sessions import cluster_environment
from tests.cluster.small_run import content_of, curated_here, write_inputs
from tests.faults.driver import Driver

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worker")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def expected(spark: SparkSession, folder: Path) -> dict[str, str]:
    return curated_here(spark, folder)


@pytest.mark.parametrize("stage", ["embed_pool", "cluster_levels"])
def test_a_run_outlives_a_worker(
    spark: SparkSession, folder: Path, expected: dict[str, str], tmp_path: Path, stage: str
) -> None:
    python = bare_python(tmp_path / "python")
    root = tmp_path / "lake"
    with standalone(tmp_path / "cluster", python) as (master, workers):
        arguments = ["--config", str(folder / "my.yaml"), f"output.root={root}"]
        sized = ["spark.driver_memory=1g", "spark.shuffle_partitions=2"]
        environment = cluster_environment() | {
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": sys.executable,
        }
        driver = Driver([*arguments, f"spark.master={master}", *sized], environment).start()
        assert driver.says(f"stage={stage} event=started"), driver.end_of_log()
        time.sleep(1.5)
        workers[0].send_signal(signal.SIGKILL)
        assert not any(f"stage={stage} event=finished" in line for line in driver.lines)
        assert driver.wait() == 0, driver.end_of_log()
    assert content_of(spark, root) == expected
