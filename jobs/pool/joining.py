"""Joins by id of what users bring: ids of one type, and why a row cannot be used."""

from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import InputError

_WHOLE = {"tinyint", "smallint", "int", "bigint"}  # types of ids that join as they are


class Wrong(NamedTuple):
    """A condition, and the reason and detail of the rows that meet it."""

    reason: str
    is_so: Column
    detail: Column


def with_reasons(rows: DataFrame, wrong: Sequence[Wrong]) -> DataFrame:
    """Add the reason and the detail of the first condition that a row meets, or nulls."""
    reason = detail = F.lit(None).cast("string")
    for each in reversed(wrong):
        reason = F.when(each.is_so, each.reason).otherwise(reason)
        detail = F.when(each.is_so, each.detail).otherwise(detail)
    return rows.withColumns({"reason": reason, "detail": detail})


def require_same_ids(key: str, pool: DataFrame, other: DataFrame) -> None:
    """Refuse ids of another type: Spark would compare them as numbers, or fail on a row.

    Parameters
    ----------
    key : the config key that names the other rows

    Raises
    ------
    InputError
    """
    mine, theirs = (rows.schema["id"].dataType.simpleString() for rows in (pool, other))
    if mine != theirs and not {mine, theirs} <= _WHOLE:
        raise InputError(
            f"{key}.id is {theirs}, the pool's ids are {mine}; cast it, such as "
            f"id: cast(id as {mine})"
        )
