"""A pool of files: which there are, how they are laid out, and their fingerprint."""

import hashlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import InputError
from jobs.reading.local_listing import local_files
from jobs.reading.names import is_hidden
from jobs.spark.classic import count_files, path_exists
from jobs.spark.naming import absolute, is_local, path_of

# side by side, some in subfolders, or in subfolders that are partitions, such as label=7
Layout: TypeAlias = Literal["flat", "subfolders", "partitions"]
_PARTITION = re.compile(r"[^=]+=.*")  # the name of a partition folder
_PATTERN = re.compile(r"[\\{}\[\]*?]")  # characters that Hadoop takes for a pattern
_CHOOSING = ("pathglobfilter", "modifiedbefore", "modifiedafter")  # options of every reader
_MARKERS = re.compile(
    r"_SUCCESS|_committed_.*|_started_.*|_(common_)?metadata|\.DS_Store|\..*\.crc"
)


@dataclass(frozen=True)
class Files:
    """The files of a pool.

    Attributes
    ----------
    path : where the files were looked for, as the config names it
    found : path, modificationTime and length of each, in the order of their paths
    options : the reader options that selected files
    unread : paths of hidden and of empty files, which Spark does not list
    others : paths of files of other kinds, which are not read
    members : members of tars that are not read
    declared : the format that the config names
    """

    path: str
    found: Sequence[Any]
    options: Mapping[str, str]
    unread: Sequence[str]
    others: Sequence[str] = ()
    members: Sequence[str] = ()
    declared: str | None = None

    @cached_property
    def root(self) -> str:
        """The folder that relative paths start from, as Spark writes it, with a slash at the end.

        For a file it is its folder; for a pattern, the folder above the first pattern character.
        """
        folder = path_of(absolute(self.path)).rstrip("/")
        first = self.found[0].path
        is_folder = f"{folder}/" in first
        if not is_folder:
            fixed = folder if folder in first else _PATTERN.split(folder)[0]
            folder = fixed.rpartition("/")[0]
        before, _, _ = first.partition(f"{folder}/")
        return f"{before}{folder}/"

    @cached_property
    def names(self) -> list[str]:
        """Their paths, relative to the root."""
        return [file.path.removeprefix(self.root) for file in self.found]

    @property
    def passed_over(self) -> str:
        """Which files are not read, in words; empty if all are."""
        kinds = {
            "of other kinds": self.others,
            "hidden or empty": self.unread,
            "members hidden or without an ending": self.members,
        }
        return "; ".join(
            few(names) if names[0].startswith("(") else f"{len(names):,} {what} ({few(names)})"
            for what, names in kinds.items()
            if names
        )

    @cached_property
    def is_local(self) -> bool:
        """Whether all of them are on this machine's file system."""
        return all(is_local(file.path) for file in self.found)

    @property
    def n_bytes(self) -> int:
        """Their size."""
        return sum(file.length for file in self.found)

    @property
    def fingerprint(self) -> str:
        """A hash of their paths, sizes and times."""
        return fingerprint_of(self.found)

    @cached_property
    def layout(self) -> Layout:
        """How they are laid out.

        Raises
        ------
        InputError
            If there are other files beside partitions: Spark would leave one kind out.
        """
        # a pattern such as */*.png names files at the depth that it spells out
        depth = path_of(absolute(self.path)).rstrip("/").count("/") - path_of(self.root).count("/")
        example: dict[bool, str] = {}
        for name in self.names:
            folders = name.split("/")[max(0, depth) : -1]
            example.setdefault(any(map(_PARTITION.fullmatch, folders)), name)
        if len(example) == 2:
            raise InputError(
                f"input.table={self.path!r} holds partitions ({example[True]!r}) and other files "
                f"beside them ({example[False]!r}); name the folder of one of the two"
            )
        if True in example:
            return "partitions"
        is_deep = any(name.count("/") > max(0, depth) for name in self.names)
        return "subfolders" if is_deep else "flat"


def list_files(
    spark: SparkSession, path: str, options: Mapping[str, str], *, looks_for_unread: bool = True
) -> Files:
    """List the files below a path, subfolders included.

    Parameters
    ----------
    options : the reader's; those that choose files are heeded
    looks_for_unread : whether to list those that Spark skips too, which takes a second pass

    Raises
    ------
    InputError
        If there are none.
    """
    choice = {key: value for key, value in options.items() if key.lower() in _CHOOSING}
    listed_now = listed(spark, [literal_path(spark, path)], choice)
    found = sorted(listed_now, key=lambda file: str(file.path))
    unread = () if choice or not looks_for_unread else _unread(spark, path, len(found))
    if not found:
        there = f"; what is there is hidden or empty: {few(unread)}" if unread else ""
        raise InputError(f"input.table={path!r} holds no files{there}")
    return Files(path, found, choice, unread)


def literal_path(spark: SparkSession, path: str) -> str:
    """Return a path to load: one that exists is taken as it is written, not as a pattern."""
    if _PATTERN.search(path) and path_exists(spark, absolute(path)):
        return escaped(path)
    return path


def escaped(path: str) -> str:
    """Escape the signs of patterns in a path."""
    return _PATTERN.sub(lambda sign: f"\\{sign[0]}", path)


def listed(
    spark: SparkSession, paths: Sequence[str], options: Mapping[str, str] | None = None
) -> Sequence[Any]:
    """Return path, modificationTime and length of all files below some paths, but empty ones."""
    if not options and (here := local_files(spark, paths)) is not None:
        return here
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    files = (
        reader.options(**options or {}).load([*paths]).select("path", "modificationTime", "length")
    )
    return files.coalesce(4).where(F.col("length") > 0).collect()


def fingerprint_of(files: Sequence[Any]) -> str:
    """Hash the paths, sizes and times of files."""
    lines = sorted(
        f"{file.path}\t{file.length}\t{_in_utc(file.modificationTime)}" for file in files
    )
    return hash_of(lines)


def hash_of(lines: Sequence[str]) -> str:
    """Hash what identifies a pool, line by line."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _in_utc(local: datetime) -> datetime:
    """Return a time in UTC, without a zone: files do not change with the machine's."""
    return datetime.fromtimestamp(local.timestamp(), UTC).replace(tzinfo=None)


def few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many there are if that is more."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _unread(spark: SparkSession, path: str, n_listed: int) -> tuple[str, ...]:
    """Return the hidden and empty files below a folder, which Spark passes over.

    In a store that Python does not see, only their number is known.
    """
    if is_local(path):
        folder = Path(path_of(path))
        return tuple(sorted(_unread_below(folder))) if folder.is_dir() else ()
    if _PATTERN.search(path):
        return ()
    n_there = count_files(spark, path)
    n_unread = 0 if n_there is None else n_there - n_listed
    return (f"({n_unread:,} hidden or empty)",) if n_unread > 0 else ()


def _unread_below(folder: Path) -> list[str]:
    unread = []
    for place, _, names in os.walk(folder):
        inside = os.path.relpath(place, folder)
        is_below_hidden = inside != "." and any(map(is_hidden, inside.split(os.sep)))
        for name in names:
            is_read = not is_below_hidden and not is_hidden(name) and _holds_bytes(place, name)
            if not is_read and not _MARKERS.fullmatch(name):
                unread.append(os.path.normpath(os.path.join(inside, name)))
    return unread


def _holds_bytes(folder: str, name: str) -> bool:
    try:
        found = os.stat(f"{folder}/{name}")
    except OSError:  # a broken link
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0
