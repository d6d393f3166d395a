"""The stderr of a local session's JVM: captured, and shown only if something fails.

Ivy resolves Delta's jars there, and log4j warns; on a terminal that hides the lines that matter.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_SHOWN = 20_000  # bytes shown, from the end
_kept: list[IO[Any]] = []


@contextmanager
def kept_quiet() -> Iterator[None]:
    """Redirect the stderr of processes started in this context to an unnamed file."""
    try:
        stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
        saved = os.dup(stderr)
    except OSError:  # no stderr to speak of
        yield
        return
    kept = tempfile.TemporaryFile()
    _kept[:] = [kept]
    os.dup2(kept.fileno(), stderr)
    try:
        yield
    finally:
        os.dup2(saved, stderr)
        os.close(saved)


def said_so_far() -> str:
    """Return the end of the JVM's output so far; empty if it was not captured."""
    if not _kept:
        return ""
    size = os.fstat(_kept[0].fileno()).st_size
    content = os.pread(_kept[0].fileno(), _SHOWN, max(0, size - _SHOWN))
    return content.decode(errors="replace").strip()
