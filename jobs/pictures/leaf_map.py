"""A map of the tree's nodes: centroids that lie close together are near each other on it.

Method   principal components of the centroids, which are integers small enough that every sum is
         exact, so that the map is the same on any layout
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jobs.reporting.rows import Row

MAX_MAPPED = 2000  # nodes on the map
_BITS = 14  # bits of a coordinate: sums of squares over so many nodes stay below 2^53
_DECIMALS = 4  # of a position on the map


def mapped_level(n_nodes: tuple[int, ...]) -> int:
    """Return the finest level with few enough nodes for a map, or else the top.

    Parameters
    ----------
    n_nodes : per level, leaves first
    """
    return next((t for t, n in enumerate(n_nodes, start=1) if n <= MAX_MAPPED), len(n_nodes))


def map_rows(level: int, nodes: pa.Table, allocations: pa.Table, sample: str) -> list[Row]:
    """Return the place of every node, its size, and what a sample kept of it.

    Parameters
    ----------
    nodes : node_id, n_points, centroid; of one level
    allocations : sample, level, node_id, quota
    sample : sample's name; the control is the mean of uniform samples of its size
    """
    order = [("n_points", "descending"), ("node_id", "ascending")]
    n_all = pa.compute.sum(nodes["n_points"]).as_py()
    nodes = nodes.sort_by(order).slice(0, MAX_MAPPED)
    field = pa.compute.field
    mine = allocations.filter((field("sample") == sample) & (field("level") == level))
    quotas = dict(zip(mine["node_id"].to_pylist(), mine["quota"].to_pylist(), strict=True))
    uniform = sum(quotas.values()) / max(1, n_all)
    values = nodes["centroid"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    places = places_on_map(values.reshape(nodes.num_rows, -1))
    return [
        row
        for node, n_points, (x, y) in zip(
            nodes["node_id"].to_pylist(), nodes["n_points"].to_pylist(), places.tolist(),
            strict=True,
        )
        for row in _rows_of(level, str(node), n_points, (x, y), sample, quotas[node], uniform)
    ]  # fmt: skip


def _rows_of(
    level: int,
    key: str,
    n_points: int,
    place: tuple[float, float],
    sample: str,
    n_kept: int,
    uniform: float,
) -> Iterator[Row]:
    yield Row(None, "map", level, key, place[0], "y", place[1])
    yield Row(None, "map", level, key, None, "n_points", float(n_points))
    yield Row(sample, "map", level, key, None, "n_kept", float(n_kept), n_points * uniform)


def places_on_map(C: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the two principal components, scaled to [0, 1] : (k, d) -> (k, 2).

    The wider component spans the unit; a component's largest entry is positive.
    """
    from scipy.linalg import eigh

    largest = float(np.abs(C).max(initial=0.0)) or 1.0
    X = np.rint(C.astype(np.float64) / largest * 2**_BITS)
    X = np.rint(X - X.sum(axis=0) / len(X))  # (k, d), integers
    n_small, n_axes = min(X.shape), min(2, *X.shape)
    wanted = (n_small - n_axes, n_small - 1)
    if X.shape[1] <= X.shape[0]:
        _, axes = eigh(X.T @ X, subset_by_index=wanted)
        found = X @ axes
    else:
        found_squares, axes = eigh(X @ X.T, subset_by_index=wanted)
        found = axes * np.sqrt(np.maximum(found_squares, 0.0))
    places = np.zeros((len(X), 2))
    places[:, :n_axes] = found[:, ::-1]  # eigh's eigenvalues ascend
    is_negative = places[np.abs(places).argmax(axis=0), [0, 1]] < 0
    places[:, is_negative] *= -1
    low, high = places.min(axis=0), places.max(axis=0)
    width = float((high - low).max()) or 1.0
    return np.asarray(np.round((places - (low + high) / 2) / width + 0.5, _DECIMALS))
