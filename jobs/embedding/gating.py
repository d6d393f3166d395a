"""The hygiene gate: every row of the pool gets a vector, or a reason why it has none."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.config.model import EmbedConfig
from jobs.pool.joining import RejectRule, first_reason
from udfs.embed import GATED_SCHEMA, make_gated_embed
from udfs.embedders.contract import Embedder

_SHOWN_OF_RECORD = 200  # characters of a malformed record in its reject
TASK_SECONDS = 5.0  # for a costly embedder, so that progress is visible
TASK_ROWS = 64  # at least: two batches of most models
TASKS_A_SLOT = 4  # at least, so that no slot stays idle while the last tasks end
MAX_TASKS = 20_000


@dataclass(frozen=True)
class TaskLayout:
    """How a costly embedder's rows are divided into tasks, and counted.

    Rows of the same content are in the same task, which embeds them once.

    Attributes
    ----------
    counter : an accumulator of the rows embedded; None: the session has none
    n_at_once : rows given to the embedder at once; None: ``embed.batch_size``
    """

    n_rows: int
    n_tasks: int
    counter: Any | None = None
    n_at_once: int | None = None


def n_tasks(n_rows: int, row_seconds: float, n_slots: int) -> int:
    """Return enough tasks to show progress and to keep every slot busy to the end.

    Parameters
    ----------
    row_seconds : seconds a row takes in one slot
    """
    per_task = max(TASK_ROWS, TASK_SECONDS / row_seconds if row_seconds else 0)
    wanted = max(n_rows / per_task, min(TASKS_A_SLOT * n_slots, n_rows / TASK_ROWS))
    return min(max(1, round(wanted)), MAX_TASKS)


def gate_rows(
    rows: DataFrame,
    load_embedder: Callable[[], Embedder],
    config: EmbedConfig,
    layout: TaskLayout | None = None,
) -> DataFrame:
    """Embed rows and mark what is wrong with each.

    Parameters
    ----------
    rows : id, value, metadata; malformed, if there is such a column: the text of broken records

    Returns
    -------
    gated : id, content_hash, metadata, is_named, embedding, norm, reason, detail
        Either reason or embedding is set; is_named says whether the id is one: rows that share it
        are settled by `doubled.settle_doubled`.
    """
    embed = make_gated_embed(
        load_embedder,
        normalize=config.normalize,
        batch_size=(layout and layout.n_at_once) or config.batch_size,
        counter=layout and layout.counter,
        is_costly=layout is not None,
    )
    if layout is not None:
        rows = rows.repartition(layout.n_tasks, F.xxhash64("value"))  # copies meet in one task
    marked = _marked(rows)
    kept = [f for f in marked.schema if f.name not in ("value", "reason", "detail")]
    others = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in kept)
    return marked.mapInArrow(embed, f"{others}, {GATED_SCHEMA}")


def _marked(rows: DataFrame) -> DataFrame:
    """Return rows with what is wrong with them before they are embedded.

    Returns
    -------
    marked : id, content_hash, metadata, is_named, value, reason, detail
    """
    is_told = "malformed" in rows.columns
    malformed = F.col("malformed") if is_told else F.lit(None).cast("string")
    nameless = [
        RejectRule("malformed", malformed.isNotNull(), F.substring(malformed, 1, _SHOWN_OF_RECORD)),
        RejectRule("null_id", F.col("id").isNull(), F.lit(None).cast("string")),
        *_not_utf8(rows, "id"),
    ]
    reason, detail = first_reason([*nameless, *_not_utf8(rows, "value")])
    value = F.col("value")
    if _is_text(rows, "value"):
        value = F.when(F.is_valid_utf8("value"), value)
    return rows.select(
        (F.make_valid_utf8("id") if _is_text(rows, "id") else F.col("id")).alias("id"),
        _content_hash(F.col("value")).alias("content_hash"),
        "metadata",
        (~reduce(or_, (w.is_so for w in nameless))).alias("is_named"),
        value.alias("value"),
        reason.alias("reason"),
        detail.alias("detail"),
    )


def _not_utf8(rows: DataFrame, name: str) -> list[RejectRule]:
    """Return the condition for a text that is not UTF-8: Python could not read it."""
    if not _is_text(rows, name):
        return []
    column = F.col(name)
    # keep the length; a U+FFFD in the input must not pass for the first bad byte
    masked = F.replace(column, F.lit("\ufffd"), F.lit("???"))
    before = F.substring_index(F.make_valid_utf8(masked), "\ufffd", 1)
    what = {"id": "the id", "value": "the text"}[name]
    detail = F.format_string(f"{what} is not UTF-8 at byte %d", F.octet_length(before))
    return [RejectRule("undecodable", ~F.is_valid_utf8(column), detail)]


def _is_text(rows: DataFrame, name: str) -> bool:
    return rows.schema[name].dataType.typeName() == "string"


def _content_hash(value: Column) -> Column:
    """Return 16 bytes that identify a content.

    They hold 64 bits: the seeds are hashed after the value, so both halves follow from one hash.
    Two of 1e8 different contents share one by chance once in 3,700 pools, of 1e9 once in 37. Seeds
    in front would make it 128, and every pool would have to be embedded anew.
    """
    halves = [F.lpad(F.hex(F.xxhash64(value, F.lit(seed))), 16, "0") for seed in (0, 1)]
    return F.unhex(F.concat(*halves))


def reject_giants(gated: DataFrame, max_norm_ratio: float, longest: float | None) -> DataFrame:
    """Reject vectors so long that they would coarsen the grid for all others.

    Parameters
    ----------
    longest : the largest norm, or a bound on it; if it is within the ratio, the rows stay as given
    """
    median = gated.agg(F.median("norm")).collect()[0][0]
    if median is None or longest is None or longest <= median * max_norm_ratio:
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
