"""List local files as Spark lists them, without a Spark job."""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from jobs.config.errors import InputError
from jobs.reading.names import is_hidden
from jobs.spark.classic import default_file_system
from jobs.spark.naming import is_local, path_of

_PATTERN = re.compile(r"(?<!\\)[{}\[\]*?]")  # an unescaped pattern character


class File(NamedTuple):
    """One file, as Spark's binaryFile describes it.

    Attributes
    ----------
    modified : time of modification in milliseconds, the precision that Hadoop keeps
    """

    path: str
    modified: int
    length: int

    @property
    def modificationTime(self) -> datetime:
        """When it was modified, as Spark names and gives it: local time, without a zone."""
        seconds, ms = divmod(self.modified, 1000)
        return datetime.fromtimestamp(seconds).replace(microsecond=1000 * ms)


def local_files(spark: SparkSession, paths: Sequence[str]) -> list[File] | None:
    """Return the files below local paths, or None if Spark has to list them."""
    if is_remote() or not (default_file_system(spark) or "").startswith("file:"):
        return None
    places = [_place(path) for path in paths]
    if any(place is None or not place.exists() for place in places):
        return None
    return [file for place in places if place is not None for file in _below(place)]


def _place(path: str) -> Path | None:
    if not is_local(path) or _PATTERN.search(path):
        return None
    return Path(path_of(re.sub(r"\\(.)", r"\1", path))).absolute()


def _below(place: Path) -> Iterator[File]:
    if place.is_file():
        yield from _described(str(place.parent), [place.name])
        return
    for folder, subfolders, names in os.walk(place, followlinks=True, onerror=_refuse):
        inside = ((name, os.path.realpath(os.path.join(folder, name))) for name in subfolders)
        # a link to a parent folder would never end
        subfolders[:] = [
            name for name, real in inside if not is_hidden(name) and not _holds(real, folder)
        ]
        yield from _described(folder, names)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(error: OSError) -> None:
    """Refuse what cannot be listed: its files would be left out without a word.

    Raises
    ------
    InputError
    """
    raise InputError(
        f"input.table: {error.filename} cannot be read: {error.strerror}; want a pool that this "
        "user may read as a whole"
    )


def _holds(real: str, folder: str) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(real)


def _described(folder: str, names: Sequence[str]) -> Iterator[File]:
    for name in names:
        if is_hidden(name):
            continue
        path = f"{folder}/{name}" if folder != "/" else f"/{name}"
        if not path.isprintable() and not _is_utf8(path):
            raise InputError(
                f"input.table: the name of {os.fsencode(path)!r} is not UTF-8; rename it"
            )
        try:
            found = os.stat(path)
        except FileNotFoundError:  # a broken link
            continue
        except OSError as error:
            _refuse(error)
        if found.st_size:
            yield File(f"file:{path}", found.st_mtime_ns // 1_000_000, found.st_size)
