"""DataFrames from tables made on the driver, via Arrow, and DataFrames kept on disk."""

import contextlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.storagelevel import StorageLevel

from jobs.spark.session import n_slots

_ONE_FILE = 16 << 20  # tables up to this many bytes are written as one file
_TASK_BYTES = 128 << 20  # bytes of files per task, Spark's own default
_ARROW_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "binary": pa.binary(),
}


def as_table(rows: Sequence[Sequence[Any]], schema: str) -> pa.Table:
    """Make a table from rows, such as tuples.

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
    """Return a table as a DataFrame, to be written in as few files as its size allows."""
    # Spark takes a small table whose first batch is empty for an empty one
    batches = [batch for batch in table.to_batches() if batch.num_rows]
    frame = spark.createDataFrame(pa.Table.from_batches(batches, table.schema))
    return frame.coalesce(1 if table.nbytes <= _ONE_FILE else n_slots(spark))


def packed(rows: DataFrame, n_bytes: int) -> DataFrame:
    """Return rows of many small files in few tasks."""
    return rows.coalesce(n_packed(rows.sparkSession, n_bytes))


def n_packed(spark: SparkSession, n_bytes: int) -> int:
    """Return the tasks that read many small files: three a slot, or more for their bytes."""
    return max(3 * n_slots(spark), -(-n_bytes // _TASK_BYTES))


def kept_on_disk(rows: DataFrame) -> DataFrame:
    """Persist rows that are read several times, if the platform can.

    On disk: in memory, a pool larger than the heap would end in an OutOfMemoryError.
    """
    try:
        return rows.persist(StorageLevel.DISK_ONLY)
    except Exception:  # serverless has no cache: rows are recomputed
        return rows


def kept_no_more(rows: DataFrame) -> None:
    """Free what ``kept_on_disk`` kept, if it did."""
    with contextlib.suppress(Exception):
        rows.unpersist()
