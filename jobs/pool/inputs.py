"""The pool: how it is found, and which version a run reads."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.utils import is_remote

from jobs.config.errors import InputChangedError, InputError
from jobs.config.model import InputConfig
from jobs.config.secrets import without_secrets
from jobs.pool.files import Layout, files_below, fingerprint_of, layout_of, listing
from jobs.pool.reading import MALFORMED, options_of, pinned, read_files, ways_of_reading
from jobs.spark.classic import delta_version
from jobs.spark.delta import refuse_without_delta
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.foreign_types import refuse_python_types
from jobs.spark.naming import absolute, quote, require_one_meaning
from jobs.spark.repeatable import require_repeatable

log = logging.getLogger(__name__)

_FORMAT_BY_ENDING = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".txt": "text",
    ".md": "text",
    ".png": "binaryFile",
    ".jpg": "binaryFile",
    ".jpeg": "binaryFile",
}
_GONE = ("FILE_NOT_EXIST", "FileNotFoundException", "DELTA_FILE_NOT_FOUND")

_PART = r"(?:`(?:[^`]|``)+`|[^`.]+)"  # one part of a table's name


@dataclass(frozen=True)
class Pool:
    """The pool, pinned to one version.

    Attributes
    ----------
    rows : its rows, ``where`` applied, all columns
    name : its name in the ledger: the table's name or its full path, without credentials
    version : its Delta ``id@version``, or a hash of its files' paths, sizes and times
    files : the paths that were listed; empty for a Delta table, whose version is fixed
    ways : of reading it, see ``ways_of_reading``
    """

    rows: DataFrame
    name: str
    version: str
    files: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Its version, and how it is read if that has changed, such as ``+rfc4180``."""
        return "+".join([self.version, *self.ways])

    def require_unchanged(self) -> None:
        """Check that the files have not changed; call it before committing anything read from them.

        Raises
        ------
        InputChangedError
        """
        if not self.files:
            return
        try:
            now = fingerprint_of(files_below(self.rows.sparkSession, self.files))
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

    def say_why_unreadable(self, error: Exception) -> None:
        """Raise a helpful error if a Spark error means that the pool's files are gone.

        Raises
        ------
        InputChangedError
        """
        self.require_unchanged()
        if not self.files and any(mark in str(error) for mark in _GONE):
            raise InputChangedError(
                f"input.table={self.name!r}: version {self.fingerprint} has lost files: "
                f"{reason(error)}; VACUUM may have removed them: choose a newer input.version, or "
                "let the table keep its files for longer (delta.deletedFileRetentionDuration)"
            ) from error


def open_pool(spark: SparkSession, config: InputConfig) -> Pool:
    """Find the pool and pin its version.

    Raises
    ------
    InputError
        If it does not exist or cannot be read as described; says what to change.
    """
    if "/" in config.table:
        require_one_meaning(spark, "input.table", config.table)
    kind = config.format or detect_format(spark, config.table)
    try:
        with pinned(spark):
            rows, version, files, ways = _read(spark, config, kind)
        columns = rows.columns
    except SPARK_ERRORS as error:
        refuse_without_delta(error, spark)
        raise InputError(
            f"input.table={config.table!r} cannot be read as {kind}: {reason(error)}; check "
            "input.format, input.version and input.options"
        ) from error
    if config.where is not None:
        try:
            with pinned(spark):
                rows = _those(rows, config.where)
        except SPARK_ERRORS as error:
            raise InputError(
                f"input.where={config.where!r} is no SQL condition over {config.table}, which has "
                f"{columns}: {reason(error)}"
            ) from error
    require_repeatable(
        rows, f"input.where={config.where!r}" if config.where else f"input.table={config.table!r}"
    )
    name = without_secrets(config.table)
    return Pool(rows, name if kind == "table" else absolute(name), version, files, ways)


def _those(rows: DataFrame, where: str) -> DataFrame:
    """Return the rows that meet a condition, and all broken records."""
    condition = F.expr(where)
    if MALFORMED in rows.columns:
        condition = condition | F.col(MALFORMED).isNotNull()
    found = rows.where(condition)
    _ = found.columns
    return found


def _read(
    spark: SparkSession, config: InputConfig, kind: str
) -> tuple[DataFrame, str, tuple[str, ...], tuple[str, ...]]:
    """Return the pool's rows, version, files and ways, as ``Pool`` has them."""
    layout: Layout = "flat"
    if kind in ("delta", "table"):
        rows, version, files = _read_table(spark, config, kind)
    else:
        if config.version is not None:
            raise InputError(f"input.version={config.version} needs a Delta table; this is {kind}")
        files = (config.table,)
        found = files_below(spark, files)
        version, layout = fingerprint_of(found), layout_of(found, config.table)
        options = options_of(kind, config.options, layout)
        rows = read_files(spark, kind, config.table, options)
    rows = refuse_python_types(rows, f"input.table={config.table!r}")
    return rows, version, files, ways_of_reading(rows, kind, layout, config)


def _read_table(
    spark: SparkSession, config: InputConfig, kind: str
) -> tuple[DataFrame, str, tuple[str, ...]]:
    options = options_of(kind, config.options)
    name = quoted_name(config.table) if kind == "table" else ""
    address = name or f"delta.{quote(absolute(config.table))}"
    version = config.version
    known = None if name else delta_version(spark, absolute(config.table))
    if known is not None and known.version < 0:
        known = None  # the SQL below will say why
    identity = known.table_id if known else _delta_identity(spark, address)
    if identity is None:
        rows = spark.read.options(**options).table(name)
        files = tuple(_literal(uri) for uri in rows.inputFiles())
        return rows, fingerprint_of(files_below(spark, files)), files
    if version is None and known:
        version = known.version
    if version is None:
        history = spark.sql(f"DESCRIBE HISTORY {address} LIMIT 1")
        version = history.select("version").collect()[0].version
    reader = spark.read.options(**options).option("versionAsOf", version)
    rows = reader.table(name) if name else reader.format("delta").load(config.table)
    return rows, f"{identity}@{version}", ()


def _delta_identity(spark: SparkSession, address: str) -> str | None:
    detail = spark.sql(f"DESCRIBE DETAIL {address}").select("format", "id").collect()[0]
    return str(detail.id) if detail.format == "delta" else None


def detect_format(spark: SparkSession, table: str) -> str:
    """Return the format of the input at a path or table name.

    Raises
    ------
    InputError
        If nothing is there, or its files are of no known kind.
    """
    if "/" not in table and (is_remote() or not Path(table).exists()):
        if _is_in_catalog(spark, table):
            return "table"
        raise InputError(
            f"input.table={table!r}: no such table in the catalog and no such path; "
            "want a table name, or a path with a slash"
        )
    if _is_delta(spark, absolute(table)):
        return "delta"
    try:
        found = listing(spark, [table]).select("path").limit(1000).collect()
    except SPARK_ERRORS as error:
        raise InputError(
            f"input.table={table!r} cannot be read: {reason(error)}; want a path that this session "
            "can read"
        ) from error
    endings = {Path(row.path.removesuffix(".gz")).suffix.lower() for row in found}
    kinds = {_FORMAT_BY_ENDING[ending] for ending in endings if ending in _FORMAT_BY_ENDING}
    if len(kinds) == 1:
        return kinds.pop()
    what = f"files ending in {sorted(endings)}" if found else "no files"
    raise InputError(
        f"input.table={table!r} holds {what}; "
        "set input.format to delta, parquet, json, csv, text or binaryFile"
    )


def _is_delta(spark: SparkSession, path: str) -> bool:
    known = delta_version(spark, path)
    if known is not None:
        return known.version >= 0
    try:
        spark.sql(f"DESCRIBE HISTORY delta.{quote(path)} LIMIT 1").collect()
        return True
    except SPARK_ERRORS as error:
        refuse_without_delta(error, spark)
        return False


def _is_in_catalog(spark: SparkSession, table: str) -> bool:
    try:
        return spark.catalog.tableExists(quoted_name(table))
    except SPARK_ERRORS:  # a name with more parts than the session's catalogs allow
        return False


def quoted_name(table: str) -> str:
    """Return a table's name with every part quoted, so that SQL cannot take it for anything else.

    Raises
    ------
    InputError
        If it is not dot-separated parts, each plain or in backticks.
    """
    if not re.fullmatch(rf"{_PART}(\.{_PART})*", table):
        raise InputError(
            f"input.table={table!r} is no table name; want parts between dots, such as "
            "main.lake.documents, a part with other signs in backticks"
        )
    parts = [part for part in re.findall(_PART, table) if part]
    return ".".join(part if part.startswith("`") else quote(part) for part in parts)


def _literal(uri: str) -> str:
    """Return a file's URI as a path to load, with glob characters escaped."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", unquote(uri))
