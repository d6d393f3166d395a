"""Class-data sharing: Spark's classes kept in a file, from which later sessions start faster.

To start Spark, a JVM reads and checks some 15,000 classes. ``python -m jobs.spark.session
--keep-classes`` has one JVM write them to a file (JEP 350); a local session that finds the file
starts in two thirds of the time. Java ignores the file of another Java or of another Spark.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_FOLDER = Path(sys.prefix) / "share" / "evenlake"  # removed along with an environment
KEEP_CLASSES = "python -m jobs.spark.session --keep-classes"  # the command that makes the file
_VARIABLE = "SPARK_SUBMIT_OPTS"


def sharing_options() -> list[str]:
    """Return the options of Java that use the file; none if there is no whole file."""
    for path in _FOLDER.glob("spark-*.jsa"):
        with contextlib.suppress(OSError):
            if path.name == _named(path.stat().st_size):
                # a file of another Java is no reason to warn
                return [f'"-XX:SharedArchiveFile={path}"', "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return []


@contextlib.contextmanager
def classes_kept() -> Iterator[None]:
    """Have the JVM that starts and ends in this block write the file; nothing if it cannot.

    A file that is there is out of use meanwhile: Java writes none while it uses one.
    """
    try:
        _FOLDER.mkdir(parents=True, exist_ok=True)
        earlier = {path: path.rename(path.with_suffix(".old")) for path in _FOLDER.glob("*.jsa")}
    except OSError:
        yield
        return
    made, before = _FOLDER / f"{os.getpid()}.jsa", os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = f'{before or ""} "-XX:ArchiveClassesAtExit={made}" -Xlog:cds=off'
    try:
        yield
        with contextlib.suppress(OSError), made.open("rb") as file:
            os.fsync(file.fileno())
            made.replace(_FOLDER / _named(os.fstat(file.fileno()).st_size))
    finally:
        made.unlink(missing_ok=True)
        for path, kept in earlier.items():
            if sharing_options():
                kept.unlink(missing_ok=True)
            else:
                kept.rename(path)
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


def _named(n_bytes: int) -> str:
    """Return the name of a whole file: a JVM that maps a part of one would crash."""
    return f"spark-{n_bytes}.jsa"
