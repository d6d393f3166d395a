"""Columns of the tree's nodes on the driver: arrays, never an object per node."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

Columns = dict[str, NDArray[np.int64]]


def by_level(nodes: pa.Table) -> list[Columns]:
    """Split a table of nodes into levels.

    Parameters
    ----------
    nodes : level, node_id and other integer columns, nulls read as 0; each node once

    Returns
    -------
    levels : leaves first; per level its columns by name, (n_nodes,) int64 each, in node order
    """
    table = nodes.sort_by([("level", "ascending"), ("node_id", "ascending")])
    names = [name for name in nodes.column_names if name not in ("level", "node_id")]
    columns = {name: pa.compute.fill_null(table[name], 0).to_numpy() for name in names}
    levels, starts = np.unique(table["level"].to_numpy(), return_index=True)
    edges = np.append(starts, table.num_rows)
    return [
        {name: column[edges[t] : edges[t + 1]] for name, column in columns.items()}
        for t in range(len(levels))
    ]


def leaf_paths(parents: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return every leaf's nodes from level 1 to the top : (n_leaves, n_levels) int64.

    Parameters
    ----------
    parents : per level, leaves first: the parent of each node, (n_nodes,); of the top, any
    """
    path = [np.arange(len(parents[0]))]
    for level in parents[:-1]:
        path.append(level[path[-1]])
    return np.stack(path, axis=1)
