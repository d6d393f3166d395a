"""Measures over the tree's nodes: the tree itself, and balance before and after."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jobs.reporting.rows import Row, balance_rows, figure_rows
from jobs.tables.levels import by_level

Counts = NDArray[np.int64]


def tree_rows(nodes: pa.Table, n_empty: Sequence[int]) -> list[Row]:
    """Measure the tree itself, level by level.

    Parameters
    ----------
    nodes : level, node_id, n_children, n_points
    n_empty : clusters without members, per level, leaves first
    """
    rows: list[Row] = []
    for t, level in enumerate(by_level(nodes), start=1):
        n_points = level["n_points"]
        figures = {
            "n_nodes": float(len(n_points)),
            "largest_node_share": float(n_points.max() / n_points.sum()),
            "single_child_share": float((level["n_children"] == 1).mean()),
            "n_empty": float(n_empty[t - 1]),
        }
        rows += figure_rows("tree", None, figures, level=t)
    return rows


def node_rows(
    nodes: pa.Table, allocations: pa.Table, controls: Mapping[str, NDArray[np.int64]]
) -> list[Row]:
    """Measure balance over every level's nodes: pool, samples and controls.

    Parameters
    ----------
    nodes : level, node_id, parent_id, n_points
    allocations : sample, level, node_id, quota
    controls : sample -> (n,) the leaf of every point of a uniform draw of its size
    """
    levels = by_level(nodes)
    rows: list[Row] = []
    for t, level in enumerate(levels, start=1):
        rows += balance_rows(t, None, level["n_points"])
    for name, leaves in controls.items():
        mine = allocations.filter(pa.compute.equal(allocations["sample"], name))
        control = np.bincount(leaves, minlength=len(levels[0]["n_points"]))
        for t, level in enumerate(by_level(mine.drop_columns("sample")), start=1):
            rows += balance_rows(t, name, level["quota"], control)
            if t < len(levels):
                control = _above(control, levels[t - 1]["parent_id"], levels[t]["n_points"])
    return rows


def _above(counts: Counts, parents: Counts, nodes_above: Counts) -> Counts:
    """Return the counts of the level above : (n_nodes_above,)."""
    above = np.zeros(len(nodes_above), np.int64)
    np.add.at(above, parents, counts)
    return above
