"""Rows cut into batches, and batches numbered: the same on any layout of the rows."""

from typing import NamedTuple

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_PART_BITS = 10  # a round is numbered in 1024 parts of its hash range, not in one task


class Round(NamedTuple):
    """One round of an export; batches are numbered over all of its rounds."""

    round: int
    first_batch: int
    n_batches: int
    n_rows: int


def cut_into_batches(drawn: DataFrame, *, batch_size: int, seed: int) -> DataFrame:
    """Shuffle the rows of each round, and cut them into batches; its last may be smaller.

    Parameters
    ----------
    drawn : round, id; the rows that a selection has drawn

    Returns
    -------
    cut : round, batch (from 0 in each round), position (from 0 in each batch), id
    """
    key = F.xxhash64("id", F.lit("export"), F.lit(seed), F.col("round"))
    part = F.shiftright(key, 64 - _PART_BITS)  # in the keys' order
    keyed = drawn.select("round", "id", key.alias("key"), part.alias("part"))
    counts = keyed.groupBy("round", "part").agg(F.count("*").alias("n"))
    earlier = Window.partitionBy("round").orderBy("part").rowsBetween(Window.unboundedPreceding, -1)
    offset = F.coalesce(F.sum("n").over(earlier), F.lit(0))
    offsets = counts.select("round", "part", offset.alias("offset"))
    inside = Window.partitionBy("round", "part").orderBy("key", "id")
    rank = F.col("offset") + F.row_number().over(inside) - 1
    ranked = keyed.join(F.broadcast(offsets), on=["round", "part"], how="inner")
    return ranked.select("round", rank.alias("rank"), "id").select(
        "round",
        F.expr(f"rank DIV {int(batch_size)}").alias("batch"),
        F.expr(f"rank % {int(batch_size)}").cast("int").alias("position"),
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
    numbered = batches.join(F.broadcast(numbers), on=["round", "batch_id"], how="inner")
    return numbered.select("round", "batch", F.col("position").cast("int"), "id")


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
