"""What a round did with one row: its score, and its place among those it was drawn from."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.pool.ids import Id, is_id
from jobs.runs.explanation import rejection


def said_of_row(scored: DataFrame, rejects: DataFrame, id_: Id) -> str:
    """Return what became of an id in a round.

    Parameters
    ----------
    scored, rejects : the round's rows of ``learnability`` and ``rejects``
    """
    mine = scored.where(is_id(id_))
    found = mine.collect()
    if not found:
        why = rejection(rejects, id_)
        return "not in the source" if why is None else f"not scored: {why.reason}, {why.detail}"
    row = found[0]
    ((place, n),) = _place_of(scored, mine).collect()
    among = "its super-batch" if row.node_id is None else f"node {row.node_id}"
    drawn = "drawn" if row.is_selected else "not drawn"
    return f"scored {row.learnability:.3g} in round {row.round}, {drawn}, {place} of {n} of {among}"


def _place_of(rows: DataFrame, row: DataFrame) -> DataFrame:
    """Return the place of a row among those that it was drawn from, from 1 : place, n.

    Parameters
    ----------
    rows : rows of one round
    row : one of them
    """
    mine = row.select("super_batch", "node_id", "key", "id").alias("mine")
    is_other = (F.col("o.super_batch") == F.col("mine.super_batch")) & F.col(
        "o.node_id"
    ).eqNullSafe(F.col("mine.node_id"))
    is_before = (F.col("o.key") > F.col("mine.key")) | (
        (F.col("o.key") == F.col("mine.key")) & (F.col("o.id") <= F.col("mine.id"))
    )
    return (
        rows.alias("o")
        .join(mine, is_other)
        .agg(F.count_if(is_before).alias("place"), F.count("*").alias("n"))
    )
