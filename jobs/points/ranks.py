"""The order in which samples draw a leaf's points; the same for every sample of one strategy."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from udfs.points import PointReader
from udfs.spread import SPREAD_SCHEMA, make_spread


def ranked(points: DataFrame, *, strategy: str, seed: int) -> DataFrame:
    """Number the points of every leaf and stratum from 0, in the order in which they are drawn.

    Parameters
    ----------
    points : id, leaf_id, stratum, sq_distance; whole leaves. If they have is_included, points that
        must be included come first; if they have weight, those of more weight are likelier to come
        early, and those without come last

    Returns
    -------
    ranked : the same, plus place
    """
    known = set(points.columns)
    keys = [F.col("is_included").desc()] if "is_included" in known else []
    if "weight" in known:
        keys.append(_race(seed).asc_nulls_last())
    keys += [_rank_key(strategy, seed), F.col("id")]
    by_leaf = Window.partitionBy("leaf_id", "stratum").orderBy(*keys)
    return points.withColumn("place", F.row_number().over(by_leaf) - 1)


def ranked_farthest_first(points: DataFrame, wanted: DataFrame, read: PointReader) -> DataFrame:
    """Number the points of every leaf and stratum from 0, each the farthest from all before it.

    Points beyond those wanted follow by hash.

    Parameters
    ----------
    points : id, leaf_id, stratum, sq_distance, embedding; is_included if some must come first
    wanted : leaf_id, stratum, n_wanted; other leaves are left out

    Returns
    -------
    ranked : id, leaf_id, stratum, place
    """
    known = ["id", "leaf_id", "stratum", "sq_distance", "embedding", "is_included", "n_wanted"]
    joined = points.join(F.broadcast(wanted), on=["leaf_id", "stratum"], how="inner")
    mine = joined.select(F.xxhash64("id").alias("hash"), *(c for c in known if c in joined.columns))
    schema = SPREAD_SCHEMA.format(id=points.schema["id"].dataType.simpleString())
    return mine.groupBy("leaf_id", "stratum").applyInArrow(make_spread(read), schema)


def _rank_key(strategy: str, seed: int) -> Column:
    if strategy == "closest":
        return F.col("sq_distance")
    return F.xxhash64("id", F.lit("balance_sample"), F.lit(seed))


def _race(seed: int) -> Column:
    """Return the time at which a point arrives, at the rate of its weight.

    The first n to arrive are a draw of n without replacement, in proportion to the weights:
    Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006). Spark's logarithm
    is the same on every CPU.
    """
    u = (F.shiftrightunsigned(_rank_key("random", seed), 12) + 0.5) * 2.0**-52
    return -F.log(u) / F.col("weight")
