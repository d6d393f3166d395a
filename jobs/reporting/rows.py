"""The rows of the ``report`` table: one measure each, next to its uniform control."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.spark.frames import as_table
from udfs.kernels.judging.measures import effective_number, entropy, kl_to_uniform, lorenz_curve

# counts -> x, y
Curve = Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.float64]]]

REPORT_SCHEMA = (
    "sample string, section string, level int, key string, x double, metric string, "
    "value double, control double"
)
REPORT_COLUMNS = ("sample", "section", "level", "key", "x", "metric", "value", "control")
_N_POSITIONS = 200  # points of a node-size curve


class Row(NamedTuple):
    """One row; ``sample`` None is the pool, ``control`` a uniform draw of the sample's size."""

    sample: str | None
    section: str
    level: int | None
    key: str | None
    x: float | None
    metric: str
    value: float
    control: float | None = None


def report_table(rows: Sequence[Row], run_id: str) -> pa.Table:
    """Return rows as columns of ``report``."""
    table = as_table(rows, REPORT_SCHEMA)
    return table.append_column("run_id", pa.array([run_id] * len(rows), pa.string()))


def figure_rows(
    section: str,
    sample: str | None,
    figures: Mapping[str, float],
    *,
    level: int | None = None,
    control: Mapping[str, float] | None = None,
) -> list[Row]:
    """Return one row per named figure."""
    return [
        Row(sample, section, level, None, None, name, float(value), (control or {}).get(name))
        for name, value in figures.items()
    ]


def balance_figures(counts: NDArray[np.int64]) -> dict[str, float]:
    """Measure how evenly counts are spread : (n_nodes,) int64."""
    return {
        "entropy": entropy(counts),
        "effective_nodes": effective_number(counts),
        "kl_uniform": kl_to_uniform(counts),
        "largest_share": float(counts.max() / max(1, counts.sum())),
        "nodes_reached": float((counts > 0).sum()),
    }


def balance_rows(
    level: int,
    sample: str | None,
    counts: NDArray[np.int64],
    control: NDArray[np.int64] | None = None,
) -> list[Row]:
    """Return all balance measures and curves of one level : (n_nodes,) int64 counts."""
    versus = None if control is None else balance_figures(control)
    rows = figure_rows("balance", sample, balance_figures(counts), level=level, control=versus)
    rows += _curve("node_sizes", "share_of_mean", level, sample, _sizes, counts, control)
    rows += _curve("lorenz", "cumulative_share", level, sample, lorenz_curve, counts, control)
    return rows


def _curve(
    section: str,
    metric: str,
    level: int,
    sample: str | None,
    curve: Curve,
    counts: NDArray[np.int64],
    control: NDArray[np.int64] | None,
) -> list[Row]:
    x, y = curve(counts)
    versus = [None] * len(x) if control is None else curve(control)[1].tolist()
    return [
        Row(sample, section, level, None, at, metric, value, other)
        for at, value, other in zip(x.tolist(), y.tolist(), versus, strict=True)
    ]


def _sizes(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return node sizes over their mean, largest first, at evenly spaced positions."""
    ordered = np.sort(counts)[::-1] / max(counts.mean(), 1e-300)
    at = np.unique(np.linspace(0, len(ordered) - 1, _N_POSITIONS).round().astype(int))
    return at / max(1, len(ordered) - 1), ordered[at]


def label_rows(
    sample: str | None,
    counts: Mapping[str, int],
    control: Mapping[str, int] | None,
    labels: list[str],
) -> list[Row]:
    """Return how evenly labels are spread, and each one's count, over all labels of the pool."""
    mine = _label_figures(counts, labels)
    versus = None if control is None else _label_figures(control, labels)
    rows = figure_rows("labels", sample, mine, control=versus)
    for label in labels:
        other = None if control is None else float(control.get(label, 0))
        rows.append(
            Row(sample, "labels", None, label, None, "count", float(counts.get(label, 0)), other)
        )
    return rows


def _label_figures(counts: Mapping[str, int], labels: list[str]) -> dict[str, float]:
    values = np.array([counts.get(label, 0) for label in labels], dtype=np.int64)
    return {
        "kl_uniform": kl_to_uniform(values),
        "effective_labels": effective_number(values) if values.any() else float("nan"),
        "n_labels": float((values > 0).sum()),
    }


def headline_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Return the measures to keep in `runs`."""
    of_coverage = ("coverage_distance", "coverage_gap", "coverage_gap_error", "effective_nodes")
    kept = {("coverage", metric) for metric in of_coverage}
    kept |= {("communities", metric) for metric in (*of_coverage[:3], "effective_communities")}
    kept |= {("labels", "kl_uniform"), ("labels", "probe_accuracy"), ("balance", "kl_uniform")}
    figures: dict[str, float] = {}
    for row in rows:
        is_whole = row.sample is not None and row.level in (None, 1) and row.key is None
        if (row.section, row.metric) in kept and is_whole:
            figures[f"{row.sample}.{row.section}.{row.metric}"] = row.value
            if row.control is not None:
                figures[f"{row.sample}.{row.section}.{row.metric}.control"] = row.control
    return figures
