"""How much is held in one place: this decides where a level is solved and how points are spread.

Both the solver and the planner use these.
"""

import numpy as np
from numpy.typing import NDArray

from jobs.sections.cluster import ClusterConfig

LOCAL_BYTES = 512 << 20  # up to this size, solver `auto` brings the pool's vectors to the driver
TAKEN_BYTES = 64 << 20  # the same for a resampling round: a pass is short compared with a Spark job
CELL_BYTES = 256 << 20  # largest size of a cell's vectors: a worker needs about three times that
BIN_BYTES = 128 << 20  # target size of the vectors in one bin of a shuffle; the same factor applies
ROUTED_BYTES = 256 << 20  # size of leaves above which points are sent to their cells to be labelled
SUMS_BYTES = 256 << 20  # of all tasks' sums in a pass; larger ones are added up on the executors
FEW_PER_CELL = 2  # clusters in a cell, at least, so that cells are not the clusters themselves
_BINS_PER_SLOT = 8  # bins of cells: enough to even out the work at the end


def is_local(config: ClusterConfig, n_bytes: int) -> bool:
    """Return whether level 1 is solved in the driver's memory, given the size of the vectors."""
    return config.solver == "local" or (config.solver == "auto" and n_bytes <= LOCAL_BYTES)


def comes_to_driver(n_bytes: float) -> bool:
    """Return whether the points of a resampling round are solved in the driver's memory."""
    return n_bytes <= TAKEN_BYTES


def max_cell_rows(config: ClusterConfig, n_features: int) -> int:
    """Return the number of points that one cell may hold."""
    return min(config.max_cell_rows, CELL_BYTES // (4 * n_features))


def fitting_cells(n_rows: int, max_rows: int) -> tuple[int, int]:
    """Return how many cells hold all points if they are half full, and clusters for that many."""
    n_cells = -(-2 * n_rows // max_rows)
    return n_cells, FEW_PER_CELL * n_cells


def is_routed(n_leaves: int, n_features: int) -> bool:
    """Return whether points are sent to their cells to be labelled.

    A worker then holds all leaves as shipped, but prepares only those of its own cells.
    """
    return 4 * n_leaves * n_features > ROUTED_BYTES


def ranges_of_sums(n_clusters: int, n_features: int, n_tasks: int) -> NDArray[np.int64] | None:
    """Return the first cluster of each range to add up tasks' sums in; None to use the driver.

    A pass then brings each cluster's sum to the driver once, not once per task.
    """
    if 8 * n_clusters * n_features * n_tasks <= SUMS_BYTES:
        return None
    return np.arange(n_tasks) * n_clusters // n_tasks


def n_packing_bins(n_bytes: int, n_blocks: int, n_slots: int) -> int:
    """Return the number of bins that blocks are packed into."""
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
