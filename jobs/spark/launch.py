"""How a local session's JVM is started: its locale; its stderr, shown only if something fails.

Ivy and log4j write to it; on a terminal that would hide the lines that matter.
"""

import codecs
import locale
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_SHOWN = 20_000  # bytes shown, counted from the end
_kept: list[IO[Any]] = []


@contextmanager
def kept_quiet() -> Iterator[None]:
    """Redirect the stderr of processes started in this context to an unnamed file."""
    try:
        stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
        saved = os.dup(stderr)
    except OSError:  # stderr is not a real file
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


@contextmanager
def utf8_names() -> Iterator[None]:
    """Start processes in this context with UTF-8 file names, if the locale knows only ASCII.

    Under ``LC_ALL=C``, Java cannot open a file whose name is not ASCII, nor list it.
    """
    if sys.platform != "linux" or codecs.lookup(locale.nl_langinfo(locale.CODESET)).name != "ascii":
        yield
        return
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


def said_so_far() -> str:
    """Return the end of the JVM's output so far; empty if it was not captured."""
    if not _kept:
        return ""
    size = os.fstat(_kept[0].fileno()).st_size
    content = os.pread(_kept[0].fileno(), _SHOWN, max(0, size - _SHOWN))
    return content.decode(errors="replace").strip()
