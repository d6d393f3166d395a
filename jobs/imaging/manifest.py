"""Batches for a trainer: all images of a caption in one batch, some of them to be masked."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.exporting.cutting import cut_into_batches
from jobs.tables.table import Table

MANIFEST = Table(
    "synthesis_manifest",
    "batch_id BIGINT, position INT, caption_id BIGINT, image_ids ARRAY<STRING>, mask_seed BIGINT, "
    "is_masked ARRAY<BOOLEAN>",
)


def manifest_of(made: DataFrame, *, captions_per_batch: int, seed: int) -> DataFrame:
    """Return the batches of an epoch: captions in the order of a hash, each with all its images.

    Parameters
    ----------
    made : caption_id, k, image_id

    Returns
    -------
    manifest : columns of MANIFEST; whether an image is to be masked is a coin toss, by
        hash
    """
    images = made.groupBy("caption_id").agg(
        F.array_sort(F.collect_list(F.struct("k", "image_id"))).alias("images")
    )
    captions = images.select(F.lit(0).alias("round"), F.col("caption_id").alias("id"))
    cut = cut_into_batches(captions, batch_size=captions_per_batch, seed=seed)
    places = cut.select(F.col("batch").alias("batch_id"), "position", F.col("id").alias("own"))
    joined = images.join(places, on=F.col("caption_id") == F.col("own"), how="inner")

    def is_masked(image: Column) -> Column:
        tossed = F.xxhash64(image["image_id"], F.lit("masked"), F.lit(seed))
        return tossed.bitwiseAND(F.lit(1)) == 1

    return joined.select(
        "batch_id",
        "position",
        "caption_id",
        F.col("images.image_id").alias("image_ids"),
        F.xxhash64("caption_id", F.lit("mask"), F.lit(seed)).alias("mask_seed"),
        F.transform("images", is_masked).alias("is_masked"),
    )
