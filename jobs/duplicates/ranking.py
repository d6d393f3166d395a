"""Which of several copies is preferred: by a metadata column."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.sections.dedup import DedupConfig, KeepConfig
from udfs.near import Ranking


def ranking_of(given: DedupConfig) -> Ranking:
    """Return the order in which points are preferred."""
    is_falling = isinstance(given.keep, KeepConfig) and given.keep.order == "desc"
    return Ranking("descending" if is_falling else "ascending")


def with_rank(points: DataFrame, metadata: DataFrame, keep: KeepConfig) -> DataFrame:
    """Add each point's rank: a number if all values of the column are numbers, else text.

    Parameters
    ----------
    points : id, and more
    metadata : id, metadata; of the same points and maybe others
    """
    value = F.col("metadata")[keep.by]
    named = metadata.select("id", value.alias("rank"))
    number = F.col("rank").try_cast("double")
    n_values, n_numbers = named.agg(F.count("rank"), F.count(number)).collect()[0]
    if n_values == n_numbers:  # nan cannot be sorted as a number
        named = named.select("id", F.when(~F.isnan(number), number).alias("rank"))
    return points.join(named, on="id", how="left")


def in_order(points: DataFrame, ranking: Ranking) -> list[Column]:
    """Return the columns to sort points by, the preferred first."""
    if "rank" not in points.columns:
        return [F.col("id")]
    last = F.asc_nulls_last if ranking.order == "ascending" else F.desc_nulls_last
    return [last("rank"), F.col("id")]
