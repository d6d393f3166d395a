"""Whether each image is at home."""

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.imaging.homes import Homes


def counted(images: DataFrame) -> pd.DataFrame:
    """Count images : place, group, n_images, n_rejected."""
    n_rejected = F.count_if(F.col("reason").isNotNull()).alias("n_rejected")
    counts = images.groupBy("place", "group").agg(F.count("*").alias("n_images"), n_rejected)
    return counts.toPandas()


def judged(images: DataFrame, owned: pd.DataFrame, homes: Homes) -> DataFrame:
    """Return the images with is_landed, level, node_id (where) and intended_node.

    Parameters
    ----------
    images : place, group, concept_id
    owned : place, owner
    """
    spark = images.sparkSession
    of_place = spark.createDataFrame(owned, "place bigint, owner string")
    meant = spark.createDataFrame(
        homes.groups[["concept_id", "node_id"]].astype({"node_id": "float"}),
        "concept_id bigint, planned double",
    )
    is_landed = F.coalesce(F.col("owner") == F.col("group"), F.lit(False))
    planned = F.when(~F.isnan("planned"), F.col("planned").cast("bigint"))
    judged = images.join(F.broadcast(of_place), on="place", how="left")
    return judged.join(F.broadcast(meant), on="concept_id", how="left").withColumns(
        {
            "level": F.lit(homes.level),
            "node_id": F.col("place"),
            "intended_node": F.coalesce(planned, F.when(is_landed, F.col("place"))),
            "is_landed": is_landed,
        }
    )
