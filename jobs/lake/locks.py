"""Locks of the operating system, for roots on a local file system.

There, nothing else arbitrates between processes that commit to one Delta table at once, and the
kernel tells at once when a process is gone. Elsewhere the store arbitrates, and these do nothing.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from filelock import FileLock, Timeout
from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

FOLDER = "_locks"  # in the root
_passed_over: set[str] = set()  # locks whose holder is taken for frozen; waited for once


def local_folder(spark: SparkSession, root: str) -> Path | None:
    """Give the folder that a root is on this machine's file system; None where it is elsewhere."""
    parts = urlparse(root)
    try:
        default = spark.sparkContext._jsc.hadoopConfiguration().get("fs.defaultFS")
    except Exception:  # Connect: one server writes for all of its clients
        return None
    if (parts.scheme or urlparse(default).scheme) != "file" or parts.netloc:
        return None
    return Path(unquote(parts.path) if parts.scheme else root)


@contextlib.contextmanager
def alone(root: Path | None, table: str, patience: float) -> Iterator[None]:
    """Commit to a table while no other process does.

    Parameters
    ----------
    patience : seconds; whoever holds the lock for longer is taken for frozen, and passed over
    """
    name = f"{table}.lock"
    place = str(root and root / FOLDER / name)
    try:
        lock = _acquired(root, name, 0 if place in _passed_over else patience)
        _passed_over.discard(place)
    except Timeout:
        lock = None
        if place not in _passed_over:
            log.warning("table=%s locked by another process; going on", table)
        _passed_over.add(place)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


class Presence:
    """A file that stays locked as long as its process lives, under a name of its own."""

    def __init__(self, root: Path | None, name: str) -> None:
        self._lock = _acquired(root, f"{name}.holder", patience=-1)

    def end(self) -> None:
        """Let go, and leave nothing behind."""
        if self._lock is not None:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()


def is_gone(root: Path | None, name: str) -> bool:
    """Tell whether the process of a presence is known to have ended; its file goes with it."""
    if root is None:
        return False
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
    """Delete the files of presences whose processes are gone."""
    for path in (root / FOLDER).glob("*.holder"):
        is_gone(root, path.stem)


def _acquired(root: Path | None, name: str, patience: float) -> FileLock | None:
    """Take a lock in a root; None where there is none to be had: the commit itself will say why.

    Raises
    ------
    Timeout
        If another holds it for longer than that; a negative patience has no end.
    """
    if root is None:
        return None
    try:
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / FOLDER / name, thread_local=False)
        lock.acquire(timeout=patience)
    except Timeout:  # an OSError of its own kind
        raise
    except (OSError, NotImplementedError) as error:
        log.info("no lock file=%s: %s", name, error)
        return None
    return lock
