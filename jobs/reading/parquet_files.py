"""Parquet files: all their columns, and a clear error if a file is two, or types differ."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from pyspark.sql import DataFrame, SparkSession

from jobs.config.errors import InputError
from jobs.reading.arrow_files import described_by, read_arrow_files
from jobs.reading.files import Files
from jobs.spark.classic import is_on_one_machine
from jobs.spark.errors import SPARK_ERRORS
from udfs.readers.forms import Form, two_types
from udfs.readers.parquet_checks import why_not_one
from udfs.readers.sources import Source

# Spark's words for UUIDs, float16 and times in nanoseconds; for times of day; for wide decimals
_UNKNOWN_TYPE = (
    "PARQUET_TYPE_ILLEGAL",
    "UNSUPPORTED_TIME_TYPE",
    "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION",
)
_AT_ONCE = 8  # footers read: most of it is waiting for the disk
_NOT_ONE = ("CANNOT_MERGE", "PARQUET_COLUMN_DATA_TYPE_MISMATCH")


def read_parquet(
    spark: SparkSession, files: Files, paths: list[str], options: Mapping[str, str]
) -> DataFrame:
    """Read Parquet files with the columns of all of them.

    Types that Spark does not know are read by pyarrow, as the nearest ones that it knows.

    Raises
    ------
    InputError
        If a column is of two types, or a local file is two that were joined.
    """
    _refuse_joined(spark, files)
    merged = {"mergeSchema": "true"} if len(files.found) > 1 else {}
    try:
        return spark.read.format("parquet").options(**merged | dict(options)).load(paths)
    except SPARK_ERRORS as error:
        if any(mark in str(error) for mark in _UNKNOWN_TYPE):
            return read_arrow_files(spark, "parquet", files, options).rows
        if any(mark in str(error) for mark in _NOT_ONE):
            _refuse_two_types(spark, files)
        raise


def _refuse_joined(spark: SparkSession, files: Files) -> None:
    """Refuse files that hold more than one: Spark would give the last one's rows, or others."""
    if not (files.is_local and is_on_one_machine(spark)):
        return
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        told = threads.map(lambda file: why_not_one(Source(file.path)), files.found)
        for file, wrong in zip(files.found, told, strict=True):
            if wrong:
                raise InputError(f"input.table={files.path!r}: {file.path}: {wrong}")


def _refuse_two_types(spark: SparkSession, files: Files) -> None:
    """Name a column that is of two types, and the files."""
    known: dict[str, tuple[object, str]] = {}
    described = described_by(spark, Form("parquet", files.root, is_one=False), files)
    for path, (schema, _) in described.items():
        for field in schema:
            kind, where = known.setdefault(field.name, (field.type, path))
            if kind != field.type:
                raise InputError(
                    f"input.table={files.path!r}: "
                    + two_types(field.name, where, kind, path, field.type)
                )
