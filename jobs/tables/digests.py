"""Digests: order-free hashes of a table's content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.tables.table import KEY, Table

_LOW_BITS = 2**32 - 1  # sums of these stay below 2^63 for up to two billion rows


@dataclass(frozen=True)
class Written:
    """A stage key's rows in a table: their count, and an order-free hash of their content.

    Attributes
    ----------
    is_new : whether this commit is known to have written them, and not an earlier one
    """

    n_rows: int
    digest: str
    is_new: bool = field(default=False, compare=False)


def digest_columns(table: Table | None, rows: DataFrame) -> list[Column]:
    """Return the columns that a row's hash covers: the content, in the declared order.

    Parameters
    ----------
    table : None for one that this version does not know; then every column, in stored order
    """
    if table is None:
        names: Sequence[str] = [name for name in rows.columns if name != KEY]
    else:
        names = [c.name for c in table.columns if c.name not in table.not_content]
    kinds = {field.name: field.dataType.typeName() for field in rows.schema}
    return [
        F.map_entries(name) if kinds[name] == "map" else F.col(name)
        for name in names
        if name in kinds
    ]


def sums(content: Sequence[Column]) -> list[Column]:
    """Return the aggregates that make up a digest."""
    h = F.xxhash64(*content)
    # bigint sums of the two halves: a decimal sum takes three times as long
    low, high = h.bitwiseAND(F.lit(_LOW_BITS)), F.shiftright(h, 32)
    return [F.count("*").alias("n"), F.sum(low).alias("low"), F.sum(high).alias("high")]


def written_of(found: Mapping[str, Any]) -> Written:
    """Return a key's row count and digest from the aggregates of its rows."""
    total = (found["high"] or 0) * 2**32 + (found["low"] or 0)
    return Written(found["n"], f"{total % 2**64:016x}")
