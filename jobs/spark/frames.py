"""Small tables made on the driver, by way of Arrow: rows of objects would go by Python workers."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

_ARROW_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "binary": pa.binary(),
}


def as_frame(spark: SparkSession, rows: Sequence[Sequence[Any]], schema: str) -> DataFrame:
    """Make a DataFrame of rows, such as tuples.

    Parameters
    ----------
    schema : names and simple types, such as ``level int, name string``
    """
    columns = [column.split() for column in schema.split(", ")]
    arrays = {
        name: pa.array([row[i] for row in rows], _ARROW_TYPES[kind])
        for i, (name, kind) in enumerate(columns)
    }
    return spark.createDataFrame(pa.table(arrays))
