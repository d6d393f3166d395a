"""Delta tables and tables of a catalog, to read a pool from: found, and pinned to a version."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession

from jobs.catalog.views import ways_of_view
from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.reading.files import escaped, fingerprint_of, hash_of, listed
from jobs.spark.classic import delta_sources, delta_version
from jobs.spark.delta import refuse_without_delta
from jobs.spark.errors import SPARK_ERRORS
from jobs.spark.naming import absolute, path_of, quote

_PART = r"(?:`(?:[^`]|``)+`|[^`.]+)"  # one part of a table's name


class Table(NamedTuple):
    """A table's rows, version, and the paths of its files unless the version is fixed."""

    rows: DataFrame
    version: str
    paths: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()  # see ``Pool``


def read_table(spark: SparkSession, config: InputConfig, kind: str) -> Table:
    """Read a Delta table at a path, or any table or view of the catalog."""
    name = quoted_name(config.table) if kind == "table" else ""
    address = name or f"delta.{quote(absolute(config.table))}"
    version = config.version
    known = None if name else delta_version(spark, absolute(config.table))
    if known is not None and known.version < 0:
        known = None  # the SQL below raises an error that says why
    is_view = bool(name) and _is_view(spark, config.table)
    identity = known.table_id if known else None if is_view else _delta_identity(spark, address)
    if identity is None:
        if version is not None:
            raise InputError(f"input.version={version} needs a Delta table; this is a {kind}")
        rows = spark.read.options(**config.options).table(name)
        found = _unversioned(rows, config.table)
        return found._replace(ways=ways_of_view(rows, name)) if is_view else found
    if version is None and known:
        version = known.version
    if version is None:
        history = spark.sql(f"DESCRIBE HISTORY {address} LIMIT 1")
        version = history.select("version").collect()[0].version
    reader = spark.read.options(**config.options).option("versionAsOf", version)
    rows = reader.table(name) if name else reader.format("delta").load(config.table)
    return Table(rows, f"{identity}@{version}")


def _unversioned(rows: DataFrame, table: str) -> Table:
    """Identify a view, or a table that is not Delta's, by what it reads: versions and files."""
    sources = delta_sources(rows) or {}
    versions = sorted(sources)
    paths = tuple(escaped(unquote(uri)) for uri in rows.inputFiles())
    if not paths and not versions:
        raise InputError(
            f"input.table={table!r} holds no files; if it is a view of rows that are made when it "
            "is read, write it to a table first"
        )
    if not versions:
        return Table(rows, fingerprint_of(listed(rows.sparkSession, paths)), paths)
    # the same files of a Delta table may hold fewer rows: deletion vectors
    parts, roots = [*versions, *sorted(paths)], tuple(f"{path_of(r)}/" for r in sources.values())
    if others := [path for path in paths if not path_of(path).startswith(roots)]:
        parts.append(fingerprint_of(listed(rows.sparkSession, others)))
    return Table(rows, hash_of(parts))


def _is_view(spark: SparkSession, table: str) -> bool:
    try:
        return spark.catalog.getTable(quoted_name(table)).tableType in ("VIEW", "TEMPORARY")
    except SPARK_ERRORS:
        return False


def _delta_identity(spark: SparkSession, address: str) -> str | None:
    detail = spark.sql(f"DESCRIBE DETAIL {address}").select("format", "id").collect()[0]
    return str(detail.id) if detail.format == "delta" else None


def is_delta(spark: SparkSession, path: str) -> bool:
    """Return whether a Delta table is at a path."""
    known = delta_version(spark, path)
    if known is not None:
        return known.version >= 0
    try:
        spark.sql(f"DESCRIBE HISTORY delta.{quote(path)} LIMIT 1").collect()
        return True
    except SPARK_ERRORS as error:
        refuse_without_delta(error, spark)
        return False


def is_in_catalog(spark: SparkSession, table: str) -> bool:
    """Return whether the catalog has a table or view of a name."""
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
