"""Why a row cannot be used; joins by id of what users bring: ids of one type."""

from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import InputError

_WHOLE = {"tinyint", "smallint", "int", "bigint"}  # types of ids that join as they are


class RejectRule(NamedTuple):
    """A condition, and the reason and detail of the rows that meet it."""

    reason: str
    is_so: Column
    detail: Column


def first_reason(rules: Sequence[RejectRule]) -> tuple[Column, Column]:
    """Return the reason and the detail of the first rule that a row meets, null if none."""
    reason = detail = F.lit(None).cast("string")
    for rule in reversed(rules):
        reason = F.when(rule.is_so, rule.reason).otherwise(reason)
        detail = F.when(rule.is_so, rule.detail).otherwise(detail)
    return reason, detail


def with_reasons(rows: DataFrame, rules: Sequence[RejectRule]) -> DataFrame:
    """Add the reason and the detail of the first rule that a row meets, or nulls."""
    reason, detail = first_reason(rules)
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
