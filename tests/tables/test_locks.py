"""Commits to one table take turns; the lock of a process without a sign of life is ignored."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.tables.locks import exclusive, local_folder


def enter(root: Path, patience: float) -> None:
    with exclusive(root, "runs", patience):
        pass


def test_a_commit_waits_for_the_one_before_it(tmp_path: Path) -> None:
    told: list[str] = []

    def commit(name: str, began: threading.Event) -> None:
        with exclusive(tmp_path, "runs", 60):
            told.append(f"{name} in")
            began.set()
            time.sleep(0.3)
            told.append(f"{name} out")

    first, second = threading.Event(), threading.Event()
    one = threading.Thread(target=commit, args=("a", first))
    one.start()
    assert first.wait(10)
    two = threading.Thread(target=commit, args=("b", second))
    two.start()
    one.join()
    two.join()
    assert told == ["a in", "a out", "b in", "b out"]


def test_another_table_does_not_wait(tmp_path: Path) -> None:
    with exclusive(tmp_path, "runs", 60), exclusive(tmp_path, "nodes", 60):
        pass


def test_a_slow_holder_is_waited_for_longer_than_anyones_patience(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        with exclusive(tmp_path, "runs", 2):
            waiting = threads.submit(enter, tmp_path, 2)
            time.sleep(2.6)
            assert not waiting.done()
        waiting.result(10)


def test_a_frozen_holder_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with exclusive(tmp_path, "runs", 600):
        began = time.monotonic()
        enter(tmp_path, 2)  # the holder's next sign of life is minutes away
        assert 1 <= time.monotonic() - began < 10
    assert "table=runs locked by a process that stands still" in caplog.text


def test_a_root_elsewhere_has_no_locks(tmp_path: Path) -> None:
    with exclusive(None, "runs", 60):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a%20b", "a#1", "a?b", "a b"])
def test_a_roots_folder_is_taken_as_written(spark: SparkSession, name: str) -> None:
    for root in (f"/lake/{name}", f"file:/lake/{name}", f"file:///lake/{name}"):
        assert local_folder(spark, root) == Path(f"/lake/{name}")
    assert local_folder(spark, f"s3a://bucket/{name}") is None
