"""The hygiene gate: every row of the pool gets a vector, or a reason why it has none."""

from collections.abc import Callable
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.model import EmbedConfig
from udfs.embed import make_gated_embed
from udfs.embedders.contract import Embedder

DUPLICATE = "duplicate"  # the reason of a row whose id and content another row has
_SHOWN_OF_RECORD = 200  # characters of a malformed one


def gate_rows(
    rows: DataFrame, load_embedder: Callable[[], Embedder], config: EmbedConfig
) -> DataFrame:
    """Embed rows and mark what is wrong with each.

    Parameters
    ----------
    rows : id, value, metadata; malformed, if there is such a column: the text of broken records

    Returns
    -------
    gated : id, content_hash, metadata, embedding, norm, reason, detail; reason or embedding is set
        n_same_id : rows that share the id; null if it is alone. See `settle_doubled`
    """
    embed = make_gated_embed(
        load_embedder, normalize=config.normalize, batch_size=config.batch_size
    )
    is_told = "malformed" in rows.columns
    malformed = F.col("malformed") if is_told else F.lit(None).cast("string")
    whole = rows.where(malformed.isNull())
    counts = whole.groupBy("id").agg(F.count("*").alias("n_same_id")).where("n_same_id > 1")
    marked = rows.join(counts, on="id", how="left")
    wrong = [
        _Wrong(malformed.isNotNull(), "malformed", F.substring(malformed, 1, _SHOWN_OF_RECORD)),
        _Wrong(F.col("id").isNull(), "null_id", F.lit(None).cast("string")),
        *_not_utf8(rows, "id"),
        *_not_utf8(rows, "value"),
    ]
    reason, detail = F.col("gated.reason"), F.col("gated.detail")
    for is_so, called, what in reversed(wrong):
        reason = F.when(is_so, called).otherwise(reason)
        detail = F.when(is_so, what).otherwise(detail)
    is_text = rows.schema["value"].dataType.typeName() == "string"
    value = F.when(F.is_valid_utf8("value"), F.col("value")) if is_text else F.col("value")
    return marked.withColumn("gated", embed(value)).select(
        _readable(rows, "id").alias("id"),
        _content_hash(F.col("value")).alias("content_hash"),
        "metadata",
        F.when(reason.isNull(), F.col("gated.embedding")).alias("embedding"),
        "gated.norm",
        reason.alias("reason"),
        detail.alias("detail"),
        F.when(F.col("id").isNotNull(), F.col("n_same_id")).alias("n_same_id"),
    )


class _Wrong(NamedTuple):
    """A condition, and the reason and detail of the rows that meet it."""

    is_so: Column
    reason: str
    detail: Column


def _not_utf8(rows: DataFrame, name: str) -> list[_Wrong]:
    """Return the condition for a text that is not UTF-8: Python could not read it."""
    if rows.schema[name].dataType.typeName() != "string":
        return []
    column = F.col(name)
    # as long as it was: what came as U+FFFD must not be taken for the first bad byte
    masked = F.replace(column, F.lit("\ufffd"), F.lit("???"))
    before = F.substring_index(F.make_valid_utf8(masked), "\ufffd", 1)
    what = {"id": "the id", "value": "the text"}[name]
    detail = F.format_string(f"{what} is not UTF-8 at byte %d", F.octet_length(before))
    return [_Wrong(~F.is_valid_utf8(column), "undecodable", detail)]


def _readable(rows: DataFrame, name: str) -> Column:
    is_text = rows.schema[name].dataType.typeName() == "string"
    return F.make_valid_utf8(name) if is_text else F.col(name)


def settle_doubled(gated: DataFrame) -> DataFrame:
    """Keep one row of each id whose rows are the same; turn the rows away if they differ.

    Rows that are the same but for their metadata are the same: the least metadata stays.
    """
    same_id = Window.partitionBy("id")
    order = ("content_hash", F.to_json("metadata"))
    doubled = gated.where(F.col("n_same_id").isNotNull()).withColumns(
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
    alone = gated.where(F.col("n_same_id").isNull())
    return alone.unionByName(settled.select(*gated.columns))


def _content_hash(value: Column) -> Column:
    """Return 16 bytes that identify a content: two 64-bit hashes with different seeds."""
    halves = [F.lpad(F.hex(F.xxhash64(value, F.lit(seed))), 16, "0") for seed in (0, 1)]
    return F.unhex(F.concat(*halves))


def reject_giants(gated: DataFrame, max_norm_ratio: float) -> DataFrame:
    """Reject vectors so long that they would coarsen the grid for all others."""
    median = gated.agg(F.median("norm")).collect()[0][0]
    if median is None:
        return gated
    limit = median * max_norm_ratio
    is_giant = F.col("reason").isNull() & (F.col("norm") > limit)
    detail = F.format_string(f"norm %.3g, the median is {median:.3g}", "norm")
    return gated.withColumns(
        {
            "embedding": F.when(~is_giant, F.col("embedding")),
            "detail": F.when(is_giant, detail).otherwise(F.col("detail")),
            "reason": F.when(is_giant, "norm_too_large").otherwise(F.col("reason")),
        }
    )
