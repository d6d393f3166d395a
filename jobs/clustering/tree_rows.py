"""The tree as rows: ``nodes``, and ``routing`` for its split levels."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.clustering.level import Level
from udfs.kernels.exact.grid import from_grid, limbs_as_float

_MOST_VALUES = 2**31 - 1  # in one chunk of a column of vectors


def nodes_table(levels: list[Level], *, unit: float) -> pa.Table:
    """Return the tree as rows of ``nodes``."""
    parts = []
    for t, level in enumerate(levels, start=1):
        n_nodes = len(level.centroids)
        is_top = level.parents < 0
        parts.append(
            pa.table(
                {
                    "level": pa.array(np.full(n_nodes, t, np.int32)),
                    "node_id": pa.array(np.arange(n_nodes)),
                    "parent_id": pa.array(level.parents, mask=is_top),
                    "n_children": pa.array(level.n_children),
                    "n_leaves": pa.array(level.n_leaves),
                    "n_points": pa.array(level.n_points),
                    "inertia": pa.array(limbs_as_float(level.inertia) * unit**2),
                    "radius": pa.array((np.sqrt(level.sq_radius) * unit).astype(np.float32)),
                    "centroid": _vectors(level.centroids, unit),
                }
            )
        )
    return pa.concat_tables(parts)


def routing_table(levels: list[Level], *, unit: float) -> pa.Table | None:
    """Return the cells of split levels as rows of ``routing``."""
    parts = []
    for t, level in enumerate(levels, start=1):
        if level.routing is None:
            continue
        cells, starts = level.routing.cells.vectors, level.routing.starts
        parts.append(
            pa.table(
                {
                    "level": pa.array(np.full(len(cells), t, np.int32)),
                    "cell_id": pa.array(np.arange(len(cells), dtype=np.int32)),
                    "leaf_ids": pa.ListArray.from_arrays(
                        pa.array(starts, pa.int32()), pa.array(np.arange(starts[-1]))
                    ),
                    "centroid": _vectors(cells, unit),
                }
            )
        )
    return pa.concat_tables(parts) if parts else None


def _vectors(C: NDArray[np.float32], unit: float) -> pa.ChunkedArray:
    """Return vectors as lists, in chunks small enough for the 32-bit offsets that Spark reads."""
    n_rows, d = max(1, _MOST_VALUES // C.shape[1]), C.shape[1]
    chunks = []
    for start in range(0, len(C), n_rows):
        values = from_grid(C[start : start + n_rows], unit).ravel()
        offsets = np.arange(0, len(values) + 1, d, dtype=np.int32)
        chunks.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)))
    return pa.chunked_array(chunks, pa.list_(pa.float32()))
