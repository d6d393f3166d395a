"""Frames of tables made on the driver, by way of Arrow, and frames that are kept on disk."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.storagelevel import StorageLevel

from jobs.spark.session import n_slots

_ONE_FILE = 16 << 20  # bytes of a table that are written as one file
_ARROW_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "binary": pa.binary(),
}


def as_table(rows: Sequence[Sequence[Any]], schema: str) -> pa.Table:
    """Make a table of rows, such as tuples.

    Parameters
    ----------
    schema : names and simple types, such as ``level int, name string``
    """
    columns = [column.split() for column in schema.split(", ")]
    return pa.table(
        {
            name: pa.array([row[i] for row in rows], _ARROW_TYPES[kind])
            for i, (name, kind) in enumerate(columns)
        }
    )


def as_frame(spark: SparkSession, table: pa.Table) -> DataFrame:
    """Return a table as a DataFrame, to be written as few files as its size allows."""
    frame = spark.createDataFrame(table)
    return frame.coalesce(1 if table.nbytes <= _ONE_FILE else n_slots(spark))


def kept_on_disk(rows: DataFrame) -> DataFrame:
    """Keep rows while they are read several times, where the platform can.

    On disk: in memory, a pool larger than the heap ends in an OutOfMemoryError.
    """
    try:
        return rows.persist(StorageLevel.DISK_ONLY)
    except Exception:  # serverless has no cache: rows are made again
        return rows
