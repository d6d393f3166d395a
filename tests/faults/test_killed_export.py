"""SIGKILL while a sample is exported, then the same command again: the same files.

Run: make faults ARGS="-k export" (ten minutes)
"""

from pathlib import Path

import pytest

from tests.faults.driver import Driver, Point
from tests.faults.lake import SHORT, arguments, write_lake

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

MODULE = "jobs.export_files"
WRITES = "sample=balanced format=webdataset"
POINTS = [Point("", 5.0), *(Point(WRITES, after) for after in (0.0, 0.7, 1.5))]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Curate a pool, and return the options of commands on it."""
    folder = write_lake(tmp_path_factory.mktemp("export"), n_points=20_000)
    told = arguments(folder, folder / "lake", cluster=SHORT)
    curated = Driver(told).run()
    assert curated.exit_code == 0, curated.end_of_log()
    return told


def command(folder: Path, config: list[str]) -> Driver:
    words = [str(folder), "--sample", "balanced", "--format", "webdataset", "--file-mb", "0.2"]
    return Driver([*words, "--split", "train=.9,val=.1", *config], module=MODULE)


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(config: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    driver = command(folder, config).run()
    assert driver.exit_code == 0, driver.end_of_log()
    return content(folder)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_killed_export_is_made_anew_with_the_same_bytes(
    config: list[str], whole: dict[str, bytes], tmp_path: Path, point: Point
) -> None:
    killed = command(tmp_path, config).run(point)
    assert killed.exit_code == -9, "the point was never reached: " + killed.end_of_log()
    finished = command(tmp_path, config).run()
    assert finished.exit_code == 0, finished.end_of_log()
    assert content(tmp_path) == whole
