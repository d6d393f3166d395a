"""Synthetic rows beside a sample's own: they fill up concepts that it holds little of.

The sample's rows stay as they are. A concept that holds fewer than the median group does is filled
up to the median by its own images; only those that landed at home count, and only a limited number
in each node.
"""

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.imaging.homes import Homes
from jobs.tables.table import Table

SYNTHETIC_SAMPLES = Table(
    "synthetic_samples",
    "sample STRING, source STRING, id {id}, image_id STRING, concept_id BIGINT, leaf_id BIGINT, "
    "path ARRAY<BIGINT>, position BIGINT",
)
SYNTHETIC, POOL = "synthetic", "pool"  # sources of a row


def rooms(homes: Homes, n_sample: pd.Series) -> pd.DataFrame:
    """Return how many images each concept may take : concept_id, room.

    Parameters
    ----------
    n_sample : rows of the sample, by group
    """
    present = sorted(int(n) for n in n_sample if n > 0)
    level = present[len(present) // 2] if present else 0
    has = homes.groups["group"].map(n_sample).fillna(0).astype(int)
    return pd.DataFrame(
        {"concept_id": homes.groups["concept_id"], "room": (level - has).clip(lower=0)}
    )


def joining(
    images: DataFrame, room: pd.DataFrame, *, max_per_node: int, seed: int, after: int
) -> DataFrame:
    """Return the images that join, the first of every concept first : see SYNTHETIC_SAMPLES.

    Parameters
    ----------
    images : image_id, concept_id, leaf_id, path, place, is_landed
    room : what ``rooms`` returned
    after : the rows of the sample itself
    """
    hashed = (F.xxhash64("image_id", F.lit("join"), F.lit(seed)), "image_id")
    in_node = Window.partitionBy("place").orderBy(*hashed)
    in_concept = Window.partitionBy("concept_id").orderBy(*hashed)
    turn = Window.partitionBy(F.lit(0)).orderBy("rank", "concept_id")
    rooms_ = images.sparkSession.createDataFrame(room, "concept_id bigint, room bigint")
    few = images.where("is_landed").withColumn("in_node", F.row_number().over(in_node))
    few = few.where(F.col("in_node") <= max_per_node)
    ranked = few.withColumn("rank", F.row_number().over(in_concept) - 1)
    wanted = ranked.join(F.broadcast(rooms_), on="concept_id", how="inner")
    return wanted.where(F.col("rank") < F.col("room")).select(
        F.lit(SYNTHETIC).alias("source"),
        "image_id",
        "concept_id",
        "leaf_id",
        "path",
        (F.row_number().over(turn) - 1 + after).cast("bigint").alias("position"),
    )


def with_images(own: DataFrame, images: DataFrame, name: str) -> DataFrame:
    """Return a sample with the images that join it : columns of SYNTHETIC_SAMPLES.

    Parameters
    ----------
    own : id, leaf_id, path, position
    images : what ``joining`` returned
    """
    kept = own.select(F.lit(POOL).alias("source"), "id", "leaf_id", "path", "position")
    both = kept.unionByName(images, allowMissingColumns=True)
    return both.withColumn("sample", F.lit(name))
