"""The order in which samples draw a leaf's points; the same for every sample of one strategy."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


def ranked(assignments: DataFrame, *, strategy: str, seed: int) -> DataFrame:
    """Number every leaf's points from 0, in the order in which they are drawn.

    Parameters
    ----------
    assignments : id, leaf_id, sq_distance; whole leaves

    Returns
    -------
    ranked : the same, plus place
    """
    by_leaf = Window.partitionBy("leaf_id").orderBy(_rank_key(strategy, seed), "id")
    return assignments.withColumn("place", F.row_number().over(by_leaf) - 1)


def _rank_key(strategy: str, seed: int) -> Column:
    if strategy == "closest":
        return F.col("sq_distance")
    return F.xxhash64("id", F.lit("balance_sample"), F.lit(seed))
