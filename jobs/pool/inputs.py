"""The pool: how it is found, and which version a run reads."""

from dataclasses import dataclass, replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.utils import is_remote

from jobs.catalog.tables import is_delta, is_in_catalog, read_table
from jobs.config.errors import InputChangedError, InputError
from jobs.config.model import InputConfig
from jobs.config.secrets import without_secrets
from jobs.pool.computing import computable, refuse_uncomputable
from jobs.pool.pointed import Pointed
from jobs.reading.arrow_files import unreadable
from jobs.reading.files import Files, fingerprint_of, list_files, listed
from jobs.reading.formats import choose_format
from jobs.reading.rows import MALFORMED, names_timestamps, read_files, well_formed
from jobs.reading.settings import session_ways, settings_pinned
from jobs.spark.delta import refuse_without_delta
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.foreign_types import refuse_python_types
from jobs.spark.naming import absolute, is_local, path_of, without_parents
from jobs.spark.relative import require_one_meaning
from jobs.spark.repeatable import require_repeatable

_GONE = ("FILE_NOT_EXIST", "FileNotFoundException", "DELTA_FILE_NOT_FOUND")
_TABLES = ("delta", "table")


@dataclass(frozen=True)
class Pool:
    """The pool, pinned to one version.

    Attributes
    ----------
    rows : all columns of its rows, with ``where`` applied
    name : its name in the ledger: the table's name or its full path, without credentials
    version : its Delta ``id@version``, or a hash of its files' paths, sizes and times
    files : what was found there, for a pool of files
    paths : files of a view, or of a table that is not a Delta table
    ways : ways of reading it that earlier versions did not have
    pointed : the files that its content points at, if it is paths
    """

    rows: DataFrame
    name: str
    version: str
    files: Files | None = None
    paths: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    pointed: Pointed | None = None

    @property
    def fingerprint(self) -> str:
        """Its version, and how it is read if that has changed, such as ``+rfc4180``."""
        return "+".join([self.version, *self.ways])

    @property
    def is_fixed(self) -> bool:
        """Whether its version stays readable as it is: a Delta table's."""
        return self.files is None and not self.paths

    def require_unchanged(self) -> None:
        """Check that the files have not changed; call it before committing anything read from them.

        Raises
        ------
        InputChangedError
        """
        if self.pointed is not None and f"files-{self.pointed.fingerprint}" not in self.ways:
            raise InputChangedError(
                f"input.content of {self.name!r}: files that its paths point at changed while they "
                "were read; nothing of this run is kept: run again once they no longer change"
            )
        if self.is_fixed:
            return
        try:
            now = self._listed_now()
        except InputError:  # an empty folder
            now = "none"
        except SPARK_ERRORS as error:
            if not any(mark in str(error) for mark in (*_GONE, "PATH_NOT_FOUND")):
                raise  # the store may be unreachable
            now = "none"
        if now != self.version:
            raise InputChangedError(
                f"input.table={self.name!r} changed while it was read: got files of fingerprint "
                f"{now}, want {self.version}, as at the start; nothing of this run is kept: "
                "run again once the files no longer change, or keep the pool in a Delta table, "
                "whose versions are fixed"
            )

    def _listed_now(self) -> str:
        spark = self.rows.sparkSession
        if self.files is None:
            return fingerprint_of(listed(spark, self.paths))
        listed_now = list_files(spark, self.files.path, self.files.options, looks_for_unread=False)
        if not self.files.others and listed_now.found == self.files.found:
            return self.version
        return choose_format(listed_now, self.files.declared).files.fingerprint

    def say_why_unreadable(self, error: Exception) -> None:
        """Raise a helpful error if a Spark error means that the pool's files are gone or broken.

        Raises
        ------
        InputError
            If SQL of the config cannot be computed, or a file is not what its form asks for.
        InputChangedError
        """
        refuse_uncomputable(error)
        self.require_unchanged()
        if said := unreadable(error):
            raise InputError(f"input.table={self.name!r}: {said}") from error
        if self.is_fixed and any(mark in str(error) for mark in _GONE):
            raise InputChangedError(
                f"input.table={self.name!r}: version {self.fingerprint} has lost files: "
                f"{reason(error)}; VACUUM may have removed them: choose a newer input.version, or "
                "let the table keep its files for longer (delta.deletedFileRetentionDuration)"
            ) from error


@computable()
def with_pointed(pool: Pool, paths: DataFrame, config: InputConfig) -> Pool:
    """Return the pool with the files that its content points at, which identify it too.

    Relative paths start from ``input.base`` or, in a pool of files, from its folder.
    """
    root = None if pool.files is None else pool.files.root
    base = config.base or (path_of(root) if root is not None and is_local(root) else root)
    pointed = Pointed.found(paths, base)
    return replace(pool, pointed=pointed, ways=(*pool.ways, f"files-{pointed.fingerprint}"))


def open_pool(spark: SparkSession, config: InputConfig) -> Pool:
    """Find the pool and pin its version.

    Raises
    ------
    InputError
        If it does not exist or cannot be read as described; says what to change.
    """
    if "/" in config.table:
        require_one_meaning(spark, "input.table", config.table)
        config = config.model_copy(update={"table": without_parents(config.table)})
    with settings_pinned(spark):
        pool = _found(spark, config)
        rows = refuse_python_types(pool.rows, f"input.table={config.table!r}")
        ways = [*pool.ways, *session_ways(spark)]
        if names_timestamps(rows, config):
            ways.append("utc")
        if config.where is not None:
            rows = _those(rows, config)
    require_repeatable(
        rows, f"input.where={config.where!r}" if config.where else f"input.table={config.table!r}"
    )
    return replace(pool, rows=rows, ways=tuple(ways))


def _those(rows: DataFrame, config: InputConfig) -> DataFrame:
    """Return the rows that meet the condition, and all broken records."""
    whole = well_formed(rows)
    try:
        condition = F.expr(str(config.where))
        _ = whole.where(condition).columns
    except SPARK_ERRORS as error:
        raise InputError(
            f"input.where={config.where!r} is no SQL condition over {config.table}, which has "
            f"{whole.columns}: {reason(error)}"
        ) from error
    if whole is rows:
        return rows.where(condition)
    return rows.where(condition | F.col(MALFORMED).isNotNull())


def _found(spark: SparkSession, config: InputConfig) -> Pool:
    """Return the pool with all of its rows, pinned to its version."""
    kind: str = config.format or _table_or_files(spark, config.table)
    name = without_secrets(config.table)
    try:
        if kind in _TABLES:
            rows, version, paths, ways = read_table(spark, config, kind)
            name = name if kind == "table" else absolute(name)
            return Pool(rows, name, version, paths=paths, ways=ways)
        kind, files = choose_format(_listed(spark, config), config.format)
        if config.version is not None:
            raise InputError(f"input.version={config.version} needs a Delta table; this is {kind}")
        rows, ways, members = read_files(spark, kind, files, config)
        files = replace(files, members=members)
        return Pool(rows, absolute(name), files.fingerprint, files, ways=ways)
    except SPARK_ERRORS as error:
        refuse_without_delta(error, spark)
        raise InputError(
            f"input.table={config.table!r} cannot be read as {kind}: {reason(error)}; check "
            "input.format, input.version and input.options"
        ) from error


def _listed(spark: SparkSession, config: InputConfig) -> Files:
    try:
        return list_files(spark, config.table, config.options)
    except SPARK_ERRORS as error:
        refuse_without_delta(error, spark)
        raise InputError(
            f"input.table={config.table!r} cannot be read: {reason(error)}; want a path that this "
            "session can read"
        ) from error


def _table_or_files(spark: SparkSession, table: str) -> str:
    """Return ``table`` or ``delta``, or ``files`` of a format that their names will tell.

    Raises
    ------
    InputError
        If nothing is there.
    """
    if "/" not in table and (is_remote() or not Path(table).exists()):
        if is_in_catalog(spark, table):
            return "table"
        raise InputError(
            f"input.table={table!r}: no such table in the catalog and no such path; "
            "want a table name, or a path with a slash"
        )
    return "delta" if is_delta(spark, absolute(table)) else "files"
