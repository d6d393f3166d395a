"""The nodes that the picture of the tree shows, as rows of the report.

The largest nodes of the top, then the largest children of the largest nodes, so few that the page
stays small whatever the tree.
"""

import heapq
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jobs.reporting.rows import Row, figure_rows
from jobs.tables.levels import by_level

MAX_TILES = 900
_OF_TOP = 300  # tiles of the top
_OF_NODE = 40  # tiles of a node's children

Counts = NDArray[np.int64]
Node = tuple[int, int]  # level, node_id


def tile_rows(nodes: pa.Table, allocations: pa.Table, sample: str) -> list[Row]:
    """Return the sizes of the nodes shown, their parents, and what a sample kept of each.

    Parameters
    ----------
    nodes : level, node_id, parent_id, n_points
    allocations : sample, level, node_id, quota
    sample : sample's name; the control is the mean of uniform samples of its size
    """
    levels = by_level(nodes)
    mine = allocations.filter(pa.compute.equal(allocations["sample"], sample))
    quotas = [level["quota"] for level in by_level(mine.drop_columns("sample"))]
    sizes, parents = ([level[name] for level in levels] for name in ("n_points", "parent_id"))
    uniform = float(quotas[-1].sum() / max(1, sizes[-1].sum()))
    whole = {"n_nodes": float((sizes[-1] > 0).sum()), "n_points": float(sizes[-1].sum())}
    rows = figure_rows("nodes", None, whole)
    n_children = [np.zeros(len(sizes[0]), np.int64)]
    for above, parent in zip(sizes[1:], parents[:-1], strict=True):
        n_children.append(np.bincount(parent, minlength=len(above)))
    for t, node in shown_nodes(sizes, parents):
        n_points, key, level = float(sizes[t - 1][node]), str(node), t
        figures = {"n_points": n_points, "n_children": float(n_children[t - 1][node])}
        if t < len(levels):
            figures["parent_id"] = float(parents[t - 1][node])
        rows += [Row(None, "nodes", level, key, None, *figure) for figure in figures.items()]
        kept = float(quotas[t - 1][node])
        rows.append(Row(sample, "nodes", level, key, None, "n_kept", kept, n_points * uniform))
    return rows


def shown_nodes(sizes: Sequence[Counts], parents: Sequence[Counts]) -> list[Node]:
    """Choose nodes to show, every one with its parent.

    Parameters
    ----------
    sizes, parents : (n_nodes,) per level, leaves first: points below a node, the node above it

    Returns
    -------
    nodes : level and node of each, those opened first before their children
    """
    top = len(sizes)
    shown = [(top, int(node)) for node in _largest(np.arange(len(sizes[-1])), sizes[-1], _OF_TOP)]
    to_open = [(-int(sizes[t - 1][node]), t, node) for t, node in shown if t > 1]
    heapq.heapify(to_open)
    while to_open and len(shown) < MAX_TILES:
        _, t, node = heapq.heappop(to_open)
        children = np.flatnonzero(parents[t - 2] == node)
        largest = _largest(children, sizes[t - 2], min(_OF_NODE, MAX_TILES - len(shown)))
        for child in map(int, largest):
            shown.append((t - 1, child))
            if t > 2:
                heapq.heappush(to_open, (-int(sizes[t - 2][child]), t - 1, child))
    return shown


def _largest(nodes: Counts, sizes: Counts, most: int) -> Counts:
    """Return the largest of some nodes that hold points, ties by id."""
    nodes = nodes[sizes[nodes] > 0]
    order = np.lexsort((nodes, -sizes[nodes]))
    return nodes[order[:most]]
