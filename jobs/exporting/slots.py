"""Rows in numbered files: joined with the pool's columns, sorted, and written by Spark.

A row's file is a function of the row alone, so that the files are the same on any layout and after
any crash.
"""

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import pyarrow as pa
import pyarrow.compute
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from jobs.config.errors import InputError
from jobs.exporting.folder import Folder
from jobs.spark.naming import quote
from jobs.spark.settings import changed

SLOT = "_evenlake_file"  # the number of a row's file
_BYTES = "_evenlake_bytes"
_MOST_TASKS = 4096
_LOOKED_AT = 256  # rows examined to estimate the size of one
_SETTINGS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}  # instead of INT96


def row_bytes(rows: DataFrame, columns: DataFrame | None, seed: int) -> float:
    """Return the bytes of a row, by a few that a hash chooses.

    Parameters
    ----------
    rows : id, and what else is written
    columns : id, and the pool's columns
    """
    few = rows.orderBy(F.xxhash64("id", F.lit("looked at"), F.lit(seed)), "id").limit(_LOOKED_AT)
    if columns is not None:
        few = F.broadcast(few).join(columns, on="id", how="inner")
    # of bytes, such as images, their lengths are enough
    blobs = [f.name for f in few.schema if isinstance(f.dataType, BinaryType)]
    emptied = {n: F.when(F.col(quote(n)).isNotNull(), F.lit(b"")) for n in blobs}
    lengths = (F.coalesce(F.octet_length(quote(n)), F.lit(0)).cast("bigint") for n in blobs)
    total = reduce(add, lengths, F.lit(0).cast("bigint"))
    looked = few.withColumn(_BYTES, total).withColumns(emptied).toArrow()
    n_bytes = pa.compute.sum(looked[_BYTES]).as_py() or 0
    # as one chunk, so that buffers do not depend on how the pool is laid out
    looked = looked.drop_columns(_BYTES)
    looked = pa.Table.from_pylist(looked.to_pylist(), schema=looked.schema)
    return float((looked.nbytes + n_bytes) / max(1, looked.num_rows))


def joined(
    rows: DataFrame, columns: DataFrame | None, *, n_files: int, place: Sequence[str]
) -> DataFrame:
    """Add the pool's columns to rows, and gather each file's rows in one task.

    Parameters
    ----------
    rows : id, _evenlake_file and others
    columns : id, and the pool's columns
    place : the columns that tell the rows of a file apart
    """
    n_tasks = min(n_files, _MOST_TASKS)
    if columns is None:
        return rows.repartition(n_tasks, SLOT)
    kinds = {f.name: f.dataType.simpleString() for f in columns.schema if f.name != "id"}
    kept = [name for name in rows.columns if name != SLOT]
    both = rows.join(columns, on="id", how="inner").repartition(n_tasks, SLOT)
    return _one_of_each(both, place, kinds).select(*map(quote, [*kept, *kinds]), SLOT)


def _one_of_each(rows: DataFrame, place: Sequence[str], kinds: Mapping[str, str]) -> DataFrame:
    """Keep one row of each place: copies of a point may differ in their columns."""
    hashable = [n for n, kind in kinds.items() if not re.search("map<|variant|void", kind)]
    order = F.xxhash64(*map(quote, hashable)) if hashable else F.lit(0)
    same = Window.partitionBy(SLOT, *place).orderBy(order)
    return rows.withColumn("_evenlake_copy", F.row_number().over(same)).where("_evenlake_copy = 1")


def in_order(rows: DataFrame, *order: str | Column) -> DataFrame:
    """Sort the rows of each file."""
    return rows.sortWithinPartitions(SLOT, *order).select(*map(quote, rows.columns))


def write_slots(
    folder: Folder[Any], rows: DataFrame, kind: str, options: Mapping[str, str], suffix: str
) -> dict[int, str]:
    """Have Spark write the files, from rows ``in_order``.

    Returns
    -------
    paths : number of a file -> its path, relative to the folder

    Raises
    ------
    CurationError
        If two files have one number.
    """
    with changed(rows.sparkSession, _SETTINGS):
        writer = rows.write.mode("overwrite").format(kind).options(**options)
        writer.partitionBy(SLOT).save(folder.rows_path)
    found = folder.written(suffix)
    by_slot = {int(path.split(f"{SLOT}=")[1].split("/")[0]): path for path in found}
    if len(by_slot) < len(found):
        raise folder.disturbed(f"{len(found)} files with {len(by_slot)} numbers")
    return by_slot


def require_rows(folder: Folder[Any], n_found: int, n_wanted: int) -> None:
    """Make sure that the number of rows written is the number wanted.

    Raises
    ------
    InputError
        If the pool has no row for some of the ids.
    CurationError
        If there are more.
    """
    if n_found < n_wanted:
        raise InputError(
            f"{n_wanted - n_found} of {n_wanted} rows have no row of their id in the pool; want "
            "the pool that they were selected from: check input.table and input.version"
        )
    if n_found > n_wanted:
        raise folder.disturbed(f"{n_found} rows, want {n_wanted}")
