"""A pool of paths: the files that its content points at, local or in a store that Spark reads."""

import hashlib
from dataclasses import dataclass
from typing import Self

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import InputError
from jobs.reading.files import escaped
from jobs.spark.classic import default_file_system
from udfs.readers.stats import make_size_and_time

_SCHEME = r"^([A-Za-z][A-Za-z0-9+.-]*):"
_MOST_FOLDERS = 10_000  # listed to find the files of a store


@dataclass(frozen=True)
class Pointed:
    """The files that a column of paths points at.

    Attributes
    ----------
    paths : rows with a column ``value``, relative paths resolved
    base : the folder that relative paths start from; None: they stay as they are
    folders : folders of a store; none if the files are local, and workers open them
    """

    paths: DataFrame
    base: str | None
    folders: tuple[str, ...] = ()

    @classmethod
    def found(cls, rows: DataFrame, base: str | None) -> Self:
        """Find out where the files are.

        Raises
        ------
        InputError
            If some are local and some are not, or they are in too many folders.
        """
        paths = _resolved(rows.select("value").where("value IS NOT NULL"), base)
        scheme = F.regexp_extract("value", _SCHEME, 1)
        is_local = (scheme == "") | (scheme == "file")
        folder = F.when(~is_local, F.regexp_extract("value", r"^(.*)/[^/]*$", 1))
        places = paths.groupBy(folder.alias("folder")).agg(F.min("value").alias("example"))
        found = {row.folder: row.example for row in places.limit(_MOST_FOLDERS + 1).collect()}
        if None in found and len(found) > 1:
            raise InputError(
                f"input.content: some paths are local, such as {found[None]!r}, and some are in a "
                "store; want one of the two"
            )
        if len(found) > _MOST_FOLDERS:
            raise InputError(
                f"input.content: the paths are in more than {_MOST_FOLDERS:,} folders; read the "
                "files as a pool of their own, or write their bytes into the table"
            )
        return cls(paths, base, tuple(sorted(name for name in found if name is not None)))

    def opened(self, rows: DataFrame) -> DataFrame:
        """Return rows with paths that workers can open, or the bytes of a store's files."""
        rows = _resolved(rows, self.base)
        if not self.folders:
            return rows
        others = [F.col(name) for name in rows.columns if name != "value"]
        joined = self._beside(rows)
        return joined.select(*others[:1], F.col("content").alias("value"), *others[1:])

    @property
    def fingerprint(self) -> str:
        """A hash of the paths, sizes and times of the files, in any order."""
        if self.folders:
            rows = self._beside(self.paths)
            state: tuple[str, ...] = ("value", "length", "modificationTime")
        else:
            rows = self.paths.withColumn("state", make_size_and_time()("value"))
            state = ("value", "state")
        total = F.sum(F.xxhash64(*state).cast("decimal(38,0)"))
        n_files, digest = rows.agg(F.count("*"), total).collect()[0]
        return hashlib.sha256(f"{n_files} {digest}".encode()).hexdigest()[:16]

    def _beside(self, rows: DataFrame) -> DataFrame:
        """Join each path with its file, if it exists."""
        spark = rows.sparkSession
        there = spark.read.format("binaryFile").load([*map(escaped, self.folders)])
        authority = default_file_system(spark) or ""
        files = there.withColumn("at", _comparable("path", authority)).drop("path")
        return rows.withColumn("at", _comparable("value", authority)).join(files, "at", "left")


def _resolved(rows: DataFrame, base: str | None) -> DataFrame:
    if base is None:
        return rows
    path = F.col("value")
    is_whole = path.rlike(_SCHEME) | path.startswith("/")
    below = F.concat(F.lit(base.rstrip("/") + "/"), path)
    return rows.withColumn("value", F.when(is_whole, path).otherwise(below))


def _comparable(name: str, default: str) -> Column:
    """Return a path with its store's address, as a manifest and a listing both give it."""
    path = F.col(name)
    address = F.regexp_extract(path, r"^[^:]+://([^/]*)", 1)
    rest = F.regexp_replace(path, r"^[^:]+:(//[^/]*)?", "")
    whole = F.when(address == "", F.lit(default.partition("://")[2])).otherwise(address)
    return F.concat(whole, rest)
