"""Rows that share an id: one of equal rows stays, rows that differ are all turned away."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

DUPLICATE = "duplicate"  # the reason of a row whose id and content occur in another row


def settle_doubled(gated: DataFrame) -> DataFrame:
    """Keep one row of each id whose rows are the same; turn the rows away if they differ.

    Rows that differ only in their metadata count as the same: the least metadata stays.
    """
    named = gated.where("is_named")
    counts = named.groupBy("id").agg(F.count("*").alias("n_same_id")).where("n_same_id > 1")
    same_id = Window.partitionBy("id")
    order = ("content_hash", F.to_json("metadata"))
    doubled = named.join(counts, on="id", how="inner").withColumns(
        {
            "n_contents": F.size(F.collect_set("content_hash").over(same_id)),
            "at": F.row_number().over(same_id.orderBy(F.col("reason").isNotNull(), *order)),
        }
    )
    differs, is_copy = F.col("n_contents") > 1, F.col("at") > 1
    reason = (
        F.when(differs, "duplicate_id")
        .when(F.col("reason").isNotNull(), F.col("reason"))
        .when(is_copy, DUPLICATE)
    )
    rows = F.concat(F.lit("the id stands on "), F.col("n_same_id"), F.lit(" rows"))
    detail = (
        F.when(differs, rows)
        .when(F.col("reason").isNotNull(), F.col("detail"))
        .when(is_copy, F.concat(rows, F.lit(" of the same content")))
    )
    settled = doubled.withColumns(
        {
            "embedding": F.when(reason.isNull(), F.col("embedding")),
            "norm": F.when(reason.isNull(), F.col("norm")),
            "reason": reason,
            "detail": detail,
        }
    )
    alone = named.join(counts, on="id", how="left_anti")
    return alone.unionByName(gated.where("NOT is_named")).unionByName(
        settled.select(*gated.columns)
    )
