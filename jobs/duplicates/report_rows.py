"""Rows of the report: copies and their groups, how similar points are, a threshold to try."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.pool.ids import shown
from jobs.reporting.rows import Row, figure_rows
from udfs.kernels.near.similarities import distinct_rows, nearest_others, proposed_threshold
from udfs.near import DirectionReader

N_COMPARED = 50_000  # points chosen by hash: in larger pools, similarities are lower bounds
N_ASKED = 1000  # of these, the points whose nearest others are found
_SECTION = "duplicates"
_EDGES = (-1.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)
_N_SHOWN = 3


def group_rows(duplicates: DataFrame) -> list[Row]:
    """Return how many groups there are, and the largest ones, each by its keeper and a copy."""
    groups = duplicates.groupBy("group_id", "keeper_id").agg(
        F.count("*").alias("n"), F.min("id").alias("copy")
    )
    ((n_groups, largest),) = groups.agg(F.count("*"), F.max("n")).collect()
    figures = {"n_groups": n_groups, "most_copies_of_one": largest or 0}
    shown_first = groups.orderBy(F.desc("n"), "keeper_id").limit(_N_SHOWN).collect()
    return figure_rows(_SECTION, None, figures) + [
        Row(None, _SECTION, None, _pair(row.keeper_id, row.copy), None, "copies", float(row.n))
        for row in shown_first
    ]


def similarity_rows(points: pa.Table, read: DirectionReader) -> list[Row]:
    """Return how similar points are to their nearest others, among different vectors.

    Parameters
    ----------
    points : a hash sample, in its order: id, embedding
    """
    if not len(points):
        return []
    X = np.concatenate([read(batch) for batch in points.to_batches()])
    rows = distinct_rows(X)
    if len(rows) < 2:
        return []
    nearest, cosine = nearest_others(X[rows], N_ASKED)
    return [*_histogram(cosine), *_proposed(points["id"].take(pa.array(rows)), nearest, cosine)]


def _histogram(cosine: np.ndarray) -> Iterator[Row]:
    counts, _ = np.histogram(np.clip(cosine, -1, 1), _EDGES)
    for low, high, n in zip(_EDGES[:-1], _EDGES[1:], counts.tolist(), strict=True):
        key = f"below {high:g}" if low < 0 else f"{low:g} to {high:g}"
        yield Row(None, _SECTION, None, key, None, "share_by_nearest_cosine", n / len(cosine))


def _proposed(ids: pa.ChunkedArray, nearest: np.ndarray, cosine: np.ndarray) -> Iterator[Row]:
    """Propose a threshold, if the data has a place for one, and show pairs just above it."""
    threshold = proposed_threshold(cosine)
    if threshold is None:
        return
    yield Row(None, _SECTION, None, None, None, "proposed_threshold", threshold)
    order = np.argsort(cosine, kind="stable")
    for i in order[cosine[order] >= threshold][:_N_SHOWN].tolist():
        key = _pair(ids[i].as_py(), ids[int(nearest[i])].as_py())
        yield Row(None, _SECTION, None, key, None, "cosine_just_above_it", float(cosine[i]))


def _pair(one: str | int | bytes, other: str | int | bytes) -> str:
    return f"{shown(one)} and {shown(other)}"
