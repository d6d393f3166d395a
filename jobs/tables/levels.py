"""Columns over the tree's nodes on the driver: arrays, never an object per node."""

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

Columns = dict[str, NDArray[np.int64]]


def read_by_level(rows: DataFrame) -> list[Columns]:
    """Bring a table of nodes to the driver.

    Parameters
    ----------
    rows : level, node_id and other integer columns; no nulls, every level's nodes once

    Returns
    -------
    levels : leaves first; per level its columns by name, (n_nodes,) int64 each, node after node
    """
    table = rows.orderBy("level", "node_id").toArrow()
    names = [name for name in rows.columns if name not in ("level", "node_id")]
    columns = {name: table[name].to_numpy() for name in names}
    levels, starts = np.unique(table["level"].to_numpy(), return_index=True)
    edges = np.append(starts, table.num_rows)
    return [
        {name: column[edges[t] : edges[t + 1]] for name, column in columns.items()}
        for t in range(len(levels))
    ]
