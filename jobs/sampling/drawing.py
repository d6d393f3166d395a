"""Drawing: ranked points fill the quotas of their leaves."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

DRAWN = ("sample", "id", "leaf_id", "replica", "rank", "position", "pool_weight")


def draw_points(ranked: DataFrame, quotas: DataFrame) -> DataFrame:
    """Fill every leaf's quota with its points in rank order; replicas come after all points.

    Parameters
    ----------
    ranked : id, leaf_id, stratum, place: from 0 in the leaf and stratum
    quotas : what ``Share.of_leaves`` returned

    Returns
    -------
    drawn : columns of DRAWN
    """
    # a point is in the sample once per pass over its leaf that reaches its place
    copies = F.ceil((F.col("quota") - F.col("place")) / F.col("n_points"))
    return (
        ranked.join(quotas, on=["leaf_id", "stratum"], how="inner")
        .where(F.col("place") < F.col("quota"))
        .withColumn("replica", F.explode(F.sequence(F.lit(0), copies.cast("int") - 1)))
        .withColumn("rank", F.col("replica") * F.col("n_points") + F.col("place"))
        .withColumn("position", F.get("positions", F.col("rank")))
        .select(*DRAWN)
    )
