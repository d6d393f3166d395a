"""Rows numbered and cut into batches, and batches numbered: the same on any layout of the rows."""

from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

_PART_BITS = 10  # rows are numbered in 1024 parts of their key's range, not in a single task


class Round(NamedTuple):
    """One round of an export; batches are numbered over all of its rounds."""

    round: int
    first_batch: int
    n_batches: int
    n_rows: int


def by_hash(*columns: str, seed: int) -> tuple[Column, Column]:
    """Return the key of a shuffle, and the equal part of the keys' range that it is in."""
    key = F.xxhash64(columns[0], F.lit("export"), F.lit(seed), *map(F.col, columns[1:]))
    return key, F.shiftright(key, 64 - _PART_BITS)


def by_number(column: str, n: int) -> tuple[Column, Column]:
    """Return numbers below n as the key of an order, and its part; see ``numbered``."""
    return F.col(column), F.expr(f"{column} * {1 << _PART_BITS} DIV {n}")


def numbered(
    rows: DataFrame, group: str, order: tuple[Column, Column], ties: Sequence[str]
) -> DataFrame:
    """Number the rows of each group from 0.

    Parameters
    ----------
    group : the column that tells the groups apart
    order : what ``by_hash`` or ``by_number`` returned
    ties : the columns that decide between equal keys

    Returns
    -------
    numbered : the same, plus place BIGINT
    """
    key, part = order
    keyed = rows.withColumns({"_key": key, "_part": part})
    counts = keyed.groupBy(group, "_part").agg(F.count("*").alias("_n"))
    earlier = Window.partitionBy(group).orderBy("_part").rowsBetween(Window.unboundedPreceding, -1)
    before = F.coalesce(F.sum("_n").over(earlier), F.lit(0))
    offsets = counts.select(group, "_part", before.alias("_before"))
    inside = Window.partitionBy(group, "_part").orderBy("_key", *ties)
    ranked = keyed.join(F.broadcast(offsets), on=[group, "_part"], how="inner")
    place = F.col("_before") + F.row_number().over(inside) - 1
    return ranked.select(*rows.columns, place.alias("place"))


def cut_into_batches(drawn: DataFrame, *, batch_size: int, seed: int) -> DataFrame:
    """Shuffle the rows of each round, and cut them into batches; its last may be smaller.

    Parameters
    ----------
    drawn : round, id; the rows that a selection has drawn

    Returns
    -------
    cut : round, batch (from 0 in each round), position (from 0 in each batch), id
    """
    shuffled = numbered(drawn, "round", by_hash("id", "round", seed=seed), ["id"])
    return shuffled.select(
        "round",
        F.expr(f"place DIV {int(batch_size)}").alias("batch"),
        F.expr(f"place % {int(batch_size)}").cast("int").alias("position"),
        "id",
    )


def renumbered(batches: DataFrame) -> DataFrame:
    """Number ready batches from 0 in each round, in their own order.

    Parameters
    ----------
    batches : round, batch_id, position, id

    Returns
    -------
    cut : round, batch, position, id
    """
    in_order = Window.partitionBy("round").orderBy("batch_id")
    numbers = (
        batches.select("round", "batch_id")
        .distinct()
        .withColumn("batch", (F.row_number().over(in_order) - 1).cast("bigint"))
    )
    found = batches.join(F.broadcast(numbers), on=["round", "batch_id"], how="inner")
    return found.select("round", "batch", F.col("position").cast("int"), "id")


def rounds_of(cut: DataFrame) -> list[Round]:
    """Return the rounds of cut rows, by number."""
    found = cut.groupBy("round").agg(
        (F.max("batch") + 1).alias("n_batches"), F.count("*").alias("n_rows")
    )
    rounds: list[Round] = []
    for row in sorted(found.collect()):
        first = rounds[-1].first_batch + rounds[-1].n_batches if rounds else 0
        rounds.append(Round(row["round"], first, row.n_batches, row.n_rows))
    return rounds
