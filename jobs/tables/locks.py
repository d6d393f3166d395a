"""Operating-system locks, for roots on a local file system.

There, nothing else arbitrates between processes that commit to one Delta table at once, and the
kernel releases a lock as soon as its process dies. Elsewhere the store arbitrates, and these locks
do nothing.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from pyspark.sql import SparkSession

from jobs.spark.background import in_background
from jobs.spark.classic import default_file_system
from jobs.spark.naming import path_of

if TYPE_CHECKING:  # it may not be installed where no root is local, as on Databricks
    from filelock import FileLock

log = logging.getLogger(__name__)

FOLDER = "_locks"  # folder in the root
_BEATS = 4  # signs of life that a holder shows within the patience of others
_GRACE = 1.0  # seconds; a new holder may not have shown a sign of life yet


def local_folder(spark: SparkSession, root: str) -> Path | None:
    """Return a root's folder if it is on this machine's file system, else None."""
    parts = urlparse(root)
    default = default_file_system(spark)
    if default is None:  # Connect: one server writes for all of its clients
        return None
    if (parts.scheme or urlparse(default).scheme) != "file" or parts.netloc:
        return None
    return Path(path_of(root))


@contextlib.contextmanager
def exclusive(root: Path | None, table: str, patience: float) -> Iterator[None]:
    """Commit to a table while no other process does.

    Parameters
    ----------
    patience : seconds; a holder silent for that long counts as frozen, and is ignored
    """
    if root is None:
        yield
        return
    from filelock import Timeout

    name = f"{table}.lock"
    try:
        lock = _wait_for_lock(root, name, patience)
    except Timeout:
        log.warning("table=%s locked by a process that stands still; going on", table)
        lock = None
    with contextlib.nullcontext() if lock is None else _alive(lock, patience / _BEATS):
        yield


def _wait_for_lock(root: Path, name: str, patience: float) -> "FileLock | None":
    """Wait for a lock as long as its holder shows signs of life."""
    from filelock import Timeout

    while True:
        left = patience - _silence(root, name)
        try:
            return _acquired(root, name, max(left, _GRACE))
        except Timeout:
            if _silence(root, name) >= patience:
                raise


def _silence(root: Path, name: str) -> float:
    """Return the seconds since the last sign of life from a lock's present or last holder."""
    try:
        return time.time() - (root / FOLDER / name).stat().st_atime
    except OSError:
        return 0.0


@contextlib.contextmanager
def _alive(lock: "FileLock", seconds: float) -> Iterator[None]:
    """Hold a lock, and keep touching its file: the access time, as waiters change the other."""

    def beat(over: threading.Event) -> None:
        while True:
            with contextlib.suppress(OSError):
                os.utime(lock.lock_file)
            if over.wait(seconds):
                return

    try:
        with in_background(beat):
            yield
    finally:
        lock.release()


class Presence:
    """A liveness lock: a uniquely named file that stays locked as long as its process lives."""

    def __init__(self, root: Path | None, name: str) -> None:
        self._lock = _acquired(root, f"{name}.holder", patience=-1)

    def end(self) -> None:
        """Release the lock and delete its file."""
        if self._lock is not None:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()


def is_gone(root: Path | None, name: str) -> bool:
    """Return whether the process behind a liveness lock is known to be gone; deletes its file."""
    if root is None:
        return False
    from filelock import FileLock, Timeout

    path = root / FOLDER / f"{name}.holder"
    if not path.exists():
        return True
    try:
        with FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
        return True
    except (Timeout, OSError, NotImplementedError):
        return False


def sweep(root: Path) -> None:
    """Delete the liveness locks of dead processes."""
    for path in (root / FOLDER).glob("*.holder"):
        is_gone(root, path.stem)


def _acquired(root: Path | None, name: str, patience: float) -> "FileLock | None":
    """Acquire a lock in a root; None if locking is impossible: the commit itself will say why.

    Raises
    ------
    Timeout
        If another process holds it for longer than that; negative patience waits forever.
    """
    if root is None:
        return None
    from filelock import FileLock, Timeout

    try:
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / FOLDER / name, thread_local=False)
        lock.acquire(timeout=patience)
    except Timeout:  # a subclass of OSError
        raise
    except (OSError, NotImplementedError) as error:
        log.info("no lock file=%s: %s", name, error)
        return None
    return lock
