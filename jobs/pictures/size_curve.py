"""Coverage by size: how far the points lie from ever longer prefixes of a sample.

The first rows of a sample, by position, are the sample of that size (but for blends, and quotas
that depend on the size): so one draw says how large a sample needs to be.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from threadpoolctl import threadpool_limits

from jobs.points.surviving import places_of, sample_among
from jobs.reporting.coverage_rows import Judges
from jobs.reporting.figures import control_figure, label_text
from jobs.reporting.numbers import human
from jobs.reporting.rows import Row
from jobs.runs.run import Run
from jobs.spark.host import n_threads
from udfs.kernels.judging.coverage import IndependentNodes, distances_to, mean_by_label
from udfs.kernels.judging.measures import exact_mean

SECTION = "coverage_by_size"
_MOST_SIZES = 9  # each size doubles the one before

Vectors = NDArray[np.float32]


def prefix_of(run: Run, first: DataFrame, points: pa.Table | None) -> pa.Table:
    """Return a sample's first points in their order : id, embedding.

    Parameters
    ----------
    first : id, position
    points : all points of the sample, if they are already known
    """
    order = first.toArrow().sort_by("position")
    if points is None:
        wanted = ("report.prefix", len(order))
        points = sample_among(run, first.select("id"), wanted, n_ids=len(order))
    return points.take(places_of(order["id"], points["id"]))


def size_rows(sample: str, prefix: Vectors, judges: Judges) -> list[Row]:
    """Return the coverage distance of prefixes and of uniform samples of their sizes.

    Parameters
    ----------
    prefix : (n, n_features) grid coordinates, in order of position
    judges : judges, the first of which is used
    """
    sizes = sizes_up_to(len(prefix))
    with threadpool_limits(1):
        nodes, uniform = judges.panels[0].nodes, judges.uniform[0]
        mine, theirs = (list(_coverage(nodes, X, sizes)) for X in (prefix, uniform))
    return [
        Row(
            sample, SECTION, None, None, float(size), "coverage_distance",
            value * judges.unit, control * judges.unit,
        )
        for size, value, control in zip(sizes, mine, theirs, strict=True)
    ]  # fmt: skip


def sizes_up_to(n: int) -> list[int]:
    """Return sizes that double up to the largest."""
    halves = (n >> power for power in range(_MOST_SIZES))
    return sorted({size for size in halves if size > 0})


def _coverage(nodes: IndependentNodes, sampled: Vectors, sizes: Sequence[int]) -> Iterator[float]:
    """Yield the coverage distance of each prefix, from one pass over all sampled points."""
    nearest = np.full(len(nodes.points), np.inf)
    for start, stop in zip([0, *sizes], sizes, strict=False):
        found = distances_to(nodes.points, sampled[start:stop], n_threads=n_threads())
        nearest = np.minimum(nearest, found)
        yield exact_mean(mean_by_label(nodes.labels, nearest))


def size_figure(rows: pd.DataFrame, sample: str | None) -> go.Figure:
    """Draw coverage distance by size, beside that of uniform samples; sizes on a log axis.

    Parameters
    ----------
    rows : the `report` table
    """
    mine = _of(rows, sample)
    if mine.empty:
        return go.Figure()
    names = (label_text(sample), "uniform control")
    figure = control_figure(mine["x"], mine["value"], mine["control"], names, "rows")
    ticks = {"tickvals": mine["x"].tolist(), "ticktext": [human(x) for x in mine["x"]]}
    figure.update_xaxes(type="log", **ticks)
    return figure.update_yaxes(title_text="coverage distance", rangemode="tozero")


def size_said(rows: pd.DataFrame, sample: str | None) -> str:
    """Return which size covers as well as the whole uniform sample; empty if none is known.

    Each size is measured once, so that chance may decide between near ones.

    Parameters
    ----------
    rows : the `report` table
    """
    mine = _of(rows, sample)
    if len(mine) < 2:
        return ""
    whole, last = mine["x"].iloc[-1], mine["control"].iloc[-1]
    enough = mine[mine["value"] <= last]
    if enough.empty or enough["x"].iloc[0] == whole:
        return ""
    return (
        f"In this one measurement, without an error, points lie as close to its first "
        f"{human(enough['x'].iloc[0])} rows as to {human(whole)} uniform ones."
    )


def _of(rows: pd.DataFrame, sample: str | None) -> pd.DataFrame:
    """Return a sample's rows, the smallest size first."""
    mine = rows[(rows["section"] == SECTION) & (rows["sample"] == sample)]
    return mine.sort_values("x", kind="stable")
