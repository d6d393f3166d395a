"""Captions whose images are still to be made, some at a time."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def wanted_images(
    captions: DataFrame, concepts: DataFrame, made: DataFrame | None, *, per_caption: int
) -> DataFrame:
    """Return the captions that lack images.

    Parameters
    ----------
    captions : caption_id, concept_id, text, is_ok; those that are not ok get no images
    concepts : concept_id, concept
    made : caption_id, k, sha256 of the images that exist; None if there are none

    Returns
    -------
    wanted : caption_id, text, concept, wanted (numbers of images), known (hashes of the others)
    """
    named = captions.where("is_ok").join(
        F.broadcast(concepts.select("concept_id", "concept")), on="concept_id", how="left"
    )
    every = F.sequence(F.lit(0), F.lit(per_caption - 1))
    if made is None:
        nothing = F.array().cast("array<string>").alias("known")
        return named.select("caption_id", "text", "concept", every.alias("wanted"), nothing)
    there = made.groupBy("caption_id").agg(
        F.collect_set("k").alias("there"), F.collect_set("sha256").alias("known")
    )
    left = F.array_except(every, F.coalesce("there", F.array().cast("array<int>")))
    rows = named.join(there, on="caption_id", how="left").select(
        "caption_id", "text", "concept", left.alias("wanted"), "known"
    )
    return rows.where(F.size("wanted") > 0)


def some_after(wanted: DataFrame, caption_id: int, n: int) -> DataFrame:
    """Return the next captions in the order of their ids."""
    return wanted.where(F.col("caption_id") > caption_id).orderBy("caption_id").limit(n)
