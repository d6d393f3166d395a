"""How a pool's rows are read: the same from every session, and nothing lost without a word."""

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
    # what is written stays: label=007 is no 7
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}
_FORMAT_OPTIONS = {
    # RFC 4180: quotes double inside quotes, a record may have several lines
    "csv": {
        "header": "true",
        "multiLine": "true",
        "escape": '"',
        "enforceSchema": "false",  # a file of other columns is an error
        "columnPruning": "false",  # or a record's fields would not be counted
    },
    "text": {"wholetext": "true"},  # ids by file: what a folder of texts means to a curator
}


@contextlib.contextmanager
def pinned(spark: SparkSession) -> Iterator[None]:
    """Plan queries with the settings that shape rows at fixed values, where the session lets us."""
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


def options_of(kind: str, given: Mapping[str, str], layout: Layout | None = None) -> dict[str, str]:
    """Return the reader's options; those that are given come first."""
    options = dict(_FORMAT_OPTIONS.get(kind, {}))
    if layout is not None and layout.is_nested and not layout.is_partitioned:
        options["recursiveFileLookup"] = "true"
    return options | dict(given)


def read_files(spark: SparkSession, kind: str, path: str, options: Mapping[str, str]) -> DataFrame:
    """Read files; of CSV, a record with another number of fields than the header is told apart."""
    reader = spark.read.format(kind).options(**options)
    rows = reader.load(path)
    if kind != "csv" or not _is_text(rows.schema) or MALFORMED in rows.columns:
        return rows
    return reader.schema(rows.schema.add(MALFORMED, StringType())).load(path)


def _is_text(schema: StructType) -> bool:
    return all(isinstance(field.dataType, StringType) for field in schema)


def ways_of_reading(
    rows: DataFrame, kind: str, layout: Layout | None, config: InputConfig
) -> list[str]:
    """Name what is read in another way than it once was, so that it is not taken for the same.

    Each is a part of the input's fingerprint.
    """
    ways = {
        "rfc4180": kind == "csv",
        "partitions": layout is not None and layout.is_partitioned,
        "subfolders": layout is not None and layout.is_nested and not layout.is_partitioned,
        "utc": _tells_the_time(rows, config),
    }
    return [way for way, is_so in ways.items() if is_so]


def _tells_the_time(rows: DataFrame, config: InputConfig) -> bool:
    """Tell whether the config names a column of timestamps, which the session's zone shaped."""
    named = " ".join([config.where or "", config.id, *config.metadata]).lower()
    kinds = {field.name.lower(): field.dataType.simpleString() for field in rows.schema}
    return any("timestamp" in kind and name in named for name, kind in kinds.items())
