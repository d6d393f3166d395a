"""A pool of files: what is there, how it is laid out, and its fingerprint."""

import hashlib
import re
from collections.abc import Sequence
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlparse

from pyspark.sql import DataFrame, Row, SparkSession

from jobs.config.errors import InputError
from jobs.spark.naming import absolute

# side by side, some in subfolders, or in subfolders that are partitions, such as label=7
Layout: TypeAlias = Literal["flat", "subfolders", "partitions"]
_PARTITION = re.compile(r"[^=]+=.*")  # the name of a folder that is a partition


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


def fingerprint_of(files: Sequence[Row]) -> str:
    """Hash the paths, sizes and times of files."""
    lines = sorted(f"{file.path}\t{file.length}\t{file.modificationTime}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def layout_of(files: Sequence[Row], path: str) -> Layout:
    """Return how the files below a path are laid out.

    Raises
    ------
    InputError
        If there are other files beside partitions: Spark would leave one kind out.
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
    if True in example:
        return "partitions"
    return "subfolders" if any("/" in name for name in below) else "flat"


def listing(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Return the files below some paths, subfolders included; bytes are read if asked for."""
    return spark.read.format("binaryFile").option("recursiveFileLookup", "true").load([*paths])
