"""Splits of exact sizes that divide no group of copies.

The groups of each size are shared out by their hash, the largest first, in proportion to the rows
that the splits are still owed: where single rows come last, the sizes are exact.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import accumulate

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.exporting.cutting import by_hash, numbered
from jobs.spark.frames import as_frame, as_table
from udfs.kernels.sampling.remainders import apportioned


def groups_of_splits(
    n_groups: Mapping[int, int], shares: Sequence[Fraction]
) -> dict[int, list[int]]:
    """Share groups out, so that the splits have rows in proportion to their shares.

    Parameters
    ----------
    n_groups : size of a group in rows -> how many there are

    Returns
    -------
    n_groups : size -> how many of them each split has
    """
    owed = apportioned(sum(size * n for size, n in n_groups.items()), shares)
    given = {}
    for size in sorted(n_groups, reverse=True):
        given[size] = apportioned(n_groups[size], [max(0, n_rows) for n_rows in owed])
        owed = [n_rows - size * n for n_rows, n in zip(owed, given[size], strict=True)]
    return given


def with_splits(
    rows: DataFrame, groups: DataFrame, shares: Sequence[Fraction], *, seed: int
) -> tuple[DataFrame, list[int]]:
    """Divide rows into splits.

    Parameters
    ----------
    rows : id and others; an id may stand in several rows
    groups : id, content_hash; ids with the same stay together

    Returns
    -------
    divided : the rows, plus split INT, from 0
    n_rows : rows of each split
    """
    grouped = rows.join(groups, on="id", how="inner")
    sized = grouped.groupBy("content_hash").agg(F.count("*").alias("size"))
    n_groups = {
        row["size"]: row["n"]
        for row in sized.groupBy("size").agg(F.count("*").alias("n")).collect()
    }
    given = groups_of_splits(n_groups, shares)
    told = [
        (size, split, end - n, end)
        for size, counts in given.items()
        for split, (n, end) in enumerate(zip(counts, accumulate(counts), strict=True))
    ]
    bounds = as_table(told, "size bigint, split int, first bigint, end bigint")
    mine = (F.col("place") >= F.col("first")) & (F.col("place") < F.col("end"))
    places = numbered(sized, "size", by_hash("content_hash", seed=seed), ["content_hash"])
    chosen = places.join(F.broadcast(as_frame(rows.sparkSession, bounds)), on="size", how="inner")
    split = grouped.join(
        chosen.where(mine).select("content_hash", "split"), on="content_hash", how="inner"
    )
    n_rows = [sum(size * counts[i] for size, counts in given.items()) for i in range(len(shares))]
    return split.select(*rows.columns, "split"), n_rows
