"""A disk fills up in every stage: a clear error, and the same command works once there is room.

Needs the right to mount a tmpfs. Run: make faults ARGS="-k full_disk" (about 15 minutes)
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.faults.driver import Driver
from tests.faults.lake import SHORT, STAGES, Content, arguments, content, undisturbed, write_lake

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

SIZE = 256 << 20
LEFT = 64 << 10  # bytes that the ballast leaves
CLUSTER = {"resampling": {"rounds": 1}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lake(tmp_path_factory.mktemp("disk"), n_points=30_000)


@pytest.fixture(scope="module")
def expected(spark: SparkSession, folder: Path) -> Content:
    return undisturbed(spark, folder, cluster=CLUSTER)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Fill all but a little of the disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        room = shutil.disk_usage(disk).free - LEFT
        file.write(b"\0" * max(room, 0))
    return ballast


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_said_and_the_command_finishes_once_there_is_room(
    spark: SparkSession, folder: Path, expected: Content, disk: Path, stage: str
) -> None:
    root = disk / "lake"
    command = arguments(folder, root, cluster=CLUSTER)
    driver = Driver(command).start()
    assert driver.says(f"stage={stage} event=started"), driver.end_of_log()
    ballast = fill(disk)
    assert driver.wait() == 1, driver.end_of_log()
    last = driver.lines[-1]
    assert last.startswith("error: no space is left"), driver.end_of_log()
    assert "make room" in last

    ballast.unlink()
    again = Driver(command).run()
    assert again.exit_code == 0, again.end_of_log()
    assert content(spark, folder, root) == expected


def test_a_disk_that_is_full_before_the_start_is_said(folder: Path, disk: Path) -> None:
    command = arguments(folder, disk / "lake", cluster=SHORT)
    fill(disk)
    driver = Driver(command).run()
    assert driver.exit_code == 1, driver.end_of_log()
    assert driver.lines[-1].startswith("error: no space is left"), driver.end_of_log()
