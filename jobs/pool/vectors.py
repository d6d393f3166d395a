"""Vectors written as text or as a matrix of one row, as arrays; values that are not vectors."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType

_LOOKED_AT = 50  # texts
_WHITE = " \t\r\n"


class Vector(NamedTuple):
    """A column of arrays, and what is wrong with values that are not vectors, null elsewhere."""

    values: Column
    wrong: Column | None = None


def as_vector(rows: DataFrame, column: Column, kind: DataType) -> Vector:
    """Return a column of vectors as arrays, if they are text or matrices of one row.

    Any other column stays as it is.

    Parameters
    ----------
    kind : the column's type
    """
    if isinstance(kind, StringType):
        given = rows.select(column.alias("value")).where("value IS NOT NULL").take(_LOOKED_AT)
        is_list = any(row.value.lstrip().startswith("[") for row in given)
        return _of_text(column) if is_list else Vector(column)
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, ArrayType):
        is_row = F.size(column) == 1
        told = F.format_string("a matrix of %d rows; want one", F.size(column))
        return Vector(F.when(is_row, column.getItem(0)), F.when(column.isNotNull() & ~is_row, told))
    return Vector(column)


def _of_text(column: Column) -> Vector:
    """Read numbers between brackets, with commas as JSON and pgvector write them, or spaces."""
    white = F.lit(_WHITE)
    text = F.btrim(column, white)
    inside = F.btrim(F.substring(text, F.lit(2), F.length(text) - 2), white)
    parts = F.when(inside == "", F.array().cast("array<string>")).otherwise(
        F.split(inside, r"\s*,\s*|\s+", -1)
    )
    is_number = (
        text.startswith("[")
        & text.endswith("]")
        & ~F.exists(parts, lambda part: (part != "null") & part.try_cast("double").isNull())
    )
    told = F.concat(F.lit("no list of numbers such as [0.5, 1]: "), column)
    return Vector(
        F.when(is_number, F.transform(parts, lambda part: part.try_cast("double"))),
        F.when(column.isNotNull() & ~is_number, told),
    )
