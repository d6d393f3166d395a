"""Commits to one table take turns; who holds the lock for too long is passed over, and but once."""

import threading
import time
from pathlib import Path

from jobs.lake.locks import alone


def test_a_commit_waits_for_the_one_before_it(tmp_path: Path) -> None:
    told: list[str] = []

    def commit(name: str, began: threading.Event) -> None:
        with alone(tmp_path, "runs", 60):
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
    with alone(tmp_path, "runs", 60), alone(tmp_path, "nodes", 60):
        pass


def test_a_frozen_holder_is_waited_for_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with alone(tmp_path, "runs", 60):
        with alone(tmp_path, "runs", 0.5):
            assert time.monotonic() - began >= 0.5
        with alone(tmp_path, "runs", 600):
            pass  # within the test's time
    with alone(tmp_path, "runs", 60), alone(tmp_path, "runs", 0.5):
        pass  # it was free again, so it is waited for again


def test_a_root_elsewhere_has_no_locks(tmp_path: Path) -> None:
    with alone(None, "runs", 60):
        assert not list(tmp_path.iterdir())
