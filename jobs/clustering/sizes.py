"""How much is held in one place: what decides who solves a level, and how points are spread.

The solver and the planner both go by these.
"""

import numpy as np
from numpy.typing import NDArray

from jobs.config.cluster import ClusterConfig

LOCAL_BYTES = 512 << 20  # solver `auto` brings the pool's vectors to the driver up to this size
TAKEN_BYTES = 64 << 20  # vectors of a resampling round, likewise: a pass is short against a job
CELL_BYTES = 256 << 20  # vectors of one cell, at most: a worker needs about three times that
BIN_BYTES = 128 << 20  # vectors that one bin of a shuffle should hold, likewise
ROUTED_BYTES = 256 << 20  # of leaves: with more, points go to their cells to be labelled
SUMS_BYTES = 256 << 20  # of all tasks' sums in a pass: more are added up before they are brought
_BINS_PER_SLOT = 8  # of cells: enough to level out the work at the end


def is_local(config: ClusterConfig, n_bytes: int) -> bool:
    """Tell whether level 1 is solved in the driver's memory, given the size of the vectors."""
    return config.solver == "local" or (config.solver == "auto" and n_bytes <= LOCAL_BYTES)


def comes_to_driver(n_bytes: float) -> bool:
    """Tell whether what a resampling round keeps is solved in the driver's memory."""
    return n_bytes <= TAKEN_BYTES


def max_cell_rows(config: ClusterConfig, n_features: int) -> int:
    """Return the points that one cell may hold."""
    return min(config.max_cell_rows, CELL_BYTES // (4 * n_features))


def is_routed(n_leaves: int, n_features: int) -> bool:
    """Tell whether points go to their cells to be labelled.

    A worker then holds the leaves as they were shipped, but prepares those of its own cells alone.
    """
    return 4 * n_leaves * n_features > ROUTED_BYTES


def ranges_of_sums(n_clusters: int, n_features: int, n_tasks: int) -> NDArray[np.int64] | None:
    """Return the first clusters of ranges that tasks' sums are added up in; None for the driver.

    A pass then brings each cluster's sum to the driver once, not once a task.
    """
    if 8 * n_clusters * n_features * n_tasks <= SUMS_BYTES:
        return None
    return np.arange(n_tasks) * n_clusters // n_tasks


def n_packing_bins(n_bytes: int, n_blocks: int, n_slots: int) -> int:
    """Return the number of bins that blocks are packed in."""
    return min(n_blocks, max(n_slots, -(-n_bytes // BIN_BYTES)))


def n_solving_bins(n_bytes: int, n_cells: int, n_slots: int) -> int:
    """Return the number of bins that cells are solved in."""
    return min(n_cells, max(_BINS_PER_SLOT * n_slots, -(-n_bytes // BIN_BYTES)))


def bins_of(n_points: NDArray[np.int64], n_bins: int) -> NDArray[np.int32]:
    """Pack cells into bins, the largest cell first, each into the emptiest bin : (n_cells,).

    Bin 0 starts with the largest cell, bin 1 with the next, as Spark starts partition 0 first.
    """
    load = np.zeros(n_bins, np.int64)
    bins = np.empty(len(n_points), np.int32)
    for cell in np.argsort(-n_points, kind="stable"):
        bins[cell] = load.argmin()
        load[bins[cell]] += n_points[cell]
    return bins
