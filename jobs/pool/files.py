"""A pool of files: what is there, how it is laid out, and its fingerprint."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlparse

from pyspark.sql import DataFrame, Row, SparkSession

from jobs.config.errors import InputError
from jobs.spark.naming import absolute

_PARTITION = re.compile(r"[^=]+=.*")  # a folder's name that is the value of a column


@dataclass(frozen=True)
class Layout:
    """How files lie below a folder.

    Attributes
    ----------
    is_nested : some are in subfolders
    is_partitioned : the subfolders are partitions, such as ``label=7``
    """

    is_nested: bool
    is_partitioned: bool


def fingerprint_of(spark: SparkSession, paths: Sequence[str]) -> str:
    """Hash the paths, sizes and times of all files below some paths; see ``files_below``."""
    return fingerprint(files_below(spark, paths))


def files_below(spark: SparkSession, paths: Sequence[str]) -> list[Row]:
    """Return path, modificationTime and length of all files below some paths.

    Raises
    ------
    InputError
        If there are none.
    """
    rows = listing(spark, paths).select("path", "modificationTime", "length").collect()
    if not rows:
        raise InputError(f"{paths[0]!r} holds no files")
    return rows


def fingerprint(files: Sequence[Row]) -> str:
    """Hash paths, sizes and times."""
    lines = sorted(f"{file.path}\t{file.length}\t{file.modificationTime}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def layout_of(files: Sequence[Row], path: str) -> Layout:
    """See whether the files below a path are in subfolders, and whether those are partitions.

    Raises
    ------
    InputError
        If partitions and other files stand side by side: Spark would leave one kind out.
    """
    root = unquote(urlparse(absolute(path)).path).rstrip("/") + "/"
    paths = (unquote(urlparse(file.path).path) for file in files)
    # a path that is a file or a pattern has no files below it
    below = sorted(p.removeprefix(root) for p in paths if p.startswith(root))
    example: dict[bool, str] = {}
    for name in below:
        is_in_partition = any(map(_PARTITION.fullmatch, name.split("/")[:-1]))
        example.setdefault(is_in_partition, name)
    if len(example) == 2:
        raise InputError(
            f"input.table={path!r} holds partitions ({example[True]!r}) and other files beside "
            f"them ({example[False]!r}); name the folder of one of the two"
        )
    return Layout(any("/" in name for name in below), is_partitioned=True in example)


def listing(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Return the files below some paths, subfolders included; bytes are read where asked for."""
    return spark.read.format("binaryFile").option("recursiveFileLookup", "true").load([*paths])
