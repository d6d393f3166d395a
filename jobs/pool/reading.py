"""How a pool's rows are read: the same from every session, and nothing is lost silently."""

import contextlib
from collections.abc import Iterator, Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StringType, StructType

from jobs.config.model import InputConfig
from jobs.pool.files import Layout
from jobs.spark.errors import SPARK_ERRORS

MALFORMED = "_corrupt_record"  # Spark's column for the text of a record that it could not read
_PINNED = {
    "spark.sql.session.timeZone": "UTC",
    # values stay as they are written: label=007 is not 7
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}
_FORMAT_OPTIONS = {
    # RFC 4180: quotes double inside quotes, a record may have several lines
    "csv": {
        "header": "true",
        "multiLine": "true",
        "escape": '"',
        "enforceSchema": "false",  # a file with other columns is an error
        "columnPruning": "false",  # otherwise a record's fields would not be counted
    },
    "text": {"wholetext": "true"},  # ids by file: what a folder of texts means to a curator
}


@contextlib.contextmanager
def pinned(spark: SparkSession) -> Iterator[None]:
    """Fix the settings that shape rows while queries are planned, if the session allows it."""
    before: dict[str, str | None] = {}
    try:
        for key, value in _PINNED.items():
            with contextlib.suppress(*SPARK_ERRORS):  # serverless refuses some
                before[key] = spark.conf.get(key, None)
                spark.conf.set(key, value)
        yield
    finally:
        for key, old in before.items():
            with contextlib.suppress(*SPARK_ERRORS):
                spark.conf.unset(key) if old is None else spark.conf.set(key, old)


def options_of(kind: str, given: Mapping[str, str], layout: Layout = "flat") -> dict[str, str]:
    """Return the reader's options; given ones take precedence."""
    below = {"recursiveFileLookup": "true"} if layout == "subfolders" else {}
    return _FORMAT_OPTIONS.get(kind, {}) | below | dict(given)


def read_files(spark: SparkSession, kind: str, path: str, options: Mapping[str, str]) -> DataFrame:
    """Read files; CSV records whose fields do not match the header keep their text beside them."""
    reader = spark.read.format(kind).options(**options)
    rows = reader.load(path)
    if kind != "csv" or not _is_text(rows.schema) or MALFORMED in rows.columns:
        return rows
    return reader.schema(rows.schema.add(MALFORMED, StringType())).load(path)


def _is_text(schema: StructType) -> bool:
    return all(isinstance(field.dataType, StringType) for field in schema)


def ways_of_reading(
    rows: DataFrame, kind: str, layout: Layout, config: InputConfig
) -> tuple[str, ...]:
    """Name what is read differently than in earlier versions, whose rows must not be reused."""
    ways = {
        "rfc4180": kind == "csv",
        layout: layout != "flat",
        "utc": _names_timestamps(rows, config),
    }
    return tuple(way for way, is_so in ways.items() if is_so)


def _names_timestamps(rows: DataFrame, config: InputConfig) -> bool:
    """Return whether the config names a timestamp column, whose text depends on the time zone."""
    named = " ".join([config.where or "", config.id, *config.metadata]).lower()
    kinds = {field.name.lower(): field.dataType.simpleString() for field in rows.schema}
    return any("timestamp" in kind and name in named for name, kind in kinds.items())
