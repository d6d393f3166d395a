"""Ordered points cut into batches: at regular intervals, or so that some never share a batch."""

from collections.abc import Callable
from math import gcd
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.exporting.cutting import by_hash, numbered
from jobs.spark.frames import as_frame
from udfs.negatives import PLACED_SCHEMA, Guard, make_place

RUN_ROWS = 8192  # rows whose pairs one task compares, and among whose batches it moves them
_MOST_TASKS = 4096
_GOLDEN = 0.6180339887498949


class Cut(NamedTuple):
    """Points in batches.

    Attributes
    ----------
    rows : batch_id, cluster_id, id, position; whole batches have the lowest numbers
    n_whole, n_smaller : batches
    """

    rows: DataFrame
    n_whole: int
    n_smaller: int


def cut(ordered: DataFrame, *, n_points: int, size: int) -> Cut:
    """Cut points at regular intervals; the last batch may be smaller.

    Parameters
    ----------
    ordered : id, cluster_id, place
    """
    n_whole, n_left = divmod(n_points, size)
    number = F.expr(f"place DIV {size}")
    # batches next to each other on the walk get distant numbers, and vice versa
    spread = number * F.lit(_golden_stride(n_whole)) % F.lit(max(1, n_whole))
    rows = ordered.select(
        F.when(number < n_whole, spread).otherwise(number).alias("batch_id"),
        "cluster_id",
        "id",
        F.expr(f"place % {size}").cast("int").alias("position"),
    )
    return Cut(rows, n_whole, int(n_left > 0))


def _golden_stride(n: int) -> int:
    """Return a factor that, modulo n, spreads runs of consecutive numbers evenly over all n.

    It is the golden section of n, whose multiples are spread most evenly.
    """
    stride = max(1, round(_GOLDEN * n))
    while gcd(stride, n) > 1:
        stride += 1
    return pow(stride, -1, n) if n > 1 else 1


def cut_apart(
    ordered: DataFrame,
    points: DataFrame,
    guard: Guard,
    *,
    n_points: int,
    seed: int,
    persist: Callable[[DataFrame], DataFrame],
) -> Cut:
    """Cut points so that no batch holds two that must be kept apart.

    Each task fills whole batches from a run of the order. The rows that find no place there are
    placed once more, in the order of a hash, and then in smaller batches if need be.

    Parameters
    ----------
    ordered : id, cluster_id, place
    points : id and the guard's columns
    persist : persists rows that are read several times, and sees that they are freed
    """
    first = persist(_placed(ordered, points, guard, n_points, is_last=False))
    both = first.where("batch IS NOT NULL").withColumn("pass", F.lit(0))
    left = first.where("batch IS NULL").select(F.lit(1).alias("pass"), "id", "cluster_id")
    if n_left := left.count():
        shuffled = numbered(left, "pass", by_hash("id", seed=seed), ["id"]).drop("pass")
        last = persist(_placed(shuffled, points, guard, n_left, is_last=True))
        both = both.unionByName(last.withColumn("pass", F.lit(1)))
    numbers = _numbers(both.where("position = 0").select(*_BATCH, "n_rows").toArrow(), guard.size)
    told = F.broadcast(as_frame(ordered.sparkSession, numbers))
    rows = both.join(told, on=_BATCH, how="inner")
    n_whole = int(np.sum(numbers["is_whole"].to_numpy()))
    return Cut(
        rows.select("batch_id", "cluster_id", "id", "position"),
        n_whole,
        len(numbers) - n_whole,
    )


_BATCH = ["pass", "run", "batch"]


def _placed(
    ordered: DataFrame, points: DataFrame, guard: Guard, n_rows: int, *, is_last: bool
) -> DataFrame:
    """Place the rows of each run in one task : PLACED_SCHEMA."""
    per_run = max(2, RUN_ROWS // guard.size) * guard.size
    n_tasks = max(1, min(_MOST_TASKS, -(-n_rows // per_run)))
    runs = ordered.withColumn("run", F.expr(f"place DIV {per_run}"))
    spread = runs.join(points, on="id", how="inner").repartition(n_tasks, "run")
    schema = PLACED_SCHEMA.format(id=ordered.schema["id"].dataType.simpleString())
    return spread.groupBy("run").applyInArrow(make_place(guard, is_last=is_last), schema)


def _numbers(batches: pa.Table, size: int) -> pa.Table:
    """Number batches: whole ones first, spread out as in ``cut``, then smaller ones.

    Parameters
    ----------
    batches : pass, run, batch, n_rows
    """
    batches = batches.sort_by([(name, "ascending") for name in _BATCH])
    is_whole = batches["n_rows"].to_numpy() == size
    n_whole = int(is_whole.sum())
    numbers = np.empty(len(batches), np.int64)
    numbers[is_whole] = np.arange(n_whole) * _golden_stride(n_whole) % max(1, n_whole)
    numbers[~is_whole] = np.arange(n_whole, len(batches))
    return (
        batches.select(_BATCH)
        .append_column("batch_id", pa.array(numbers))
        .append_column("is_whole", pa.array(is_whole))
    )
