"""Points as rows (hash, embedding): read onto the grid, put in order, fetched; see ``udfs.blocks``.

A point's place in the pool's order is (block, hash, vector), block = hash mod n_blocks. It depends
on content alone, so any task can compute it for the points it holds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.exact.grid import to_grid
from udfs.kernels.passes.sources import LocalBlocks
from udfs.kernels.passes.step import positions

Batches = Iterator[pa.RecordBatch]
OnBatches = Callable[[Batches], Batches]
Points = tuple[NDArray[np.int64], NDArray[np.float32]]  # (n,) hashes or positions, (n, d)


@dataclass(frozen=True)
class PointReader:
    """Reads a batch of rows with columns hash and embedding : (n,) hashes, (n, d) on the grid.

    Attributes
    ----------
    unit : grid unit
    """

    unit: float
    n_features: int

    def __call__(self, batch: pa.RecordBatch) -> Points:
        """Read one batch."""
        return batch.column("hash").to_numpy(), self.vectors(batch)

    def vectors(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        """Read the vectors alone."""
        values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
        return to_grid(values.reshape(-1, self.n_features), self.unit)


def pool_order(
    hashes: NDArray[np.int64],
    fragments: Iterable[NDArray[np.float32]],
    n_blocks: int,
    within: NDArray[np.int32] | None = None,
) -> NDArray[np.int64]:
    """Sort points by (block, hash, vector) : (n,) indices; first by ``within``, if given.

    Parameters
    ----------
    fragments : the vectors, (n, d) in all
    """
    groups = () if within is None else (within,)
    order = np.lexsort((hashes, hashes % n_blocks, *groups))
    ordered = hashes[order]
    if (ordered[1:] == ordered[:-1]).any():  # 64-bit hashes collide: very rare
        X = np.concatenate([*fragments])
        order = np.lexsort((*X.T, hashes, hashes % n_blocks, *groups))
    return order


def put_in_order(
    fragments: Sequence[NDArray[np.float32]], order: NDArray[np.int64], n_features: int
) -> NDArray[np.float32]:
    """Join fragments of a matrix and sort its rows in one go : (n, n_features)."""
    place = _places(order)
    X = np.empty((len(order), n_features), np.float32)
    start = 0
    for fragment in fragments:
        X[place[start : start + len(fragment)]] = fragment
        start += len(fragment)
    return X


def _places(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each row goes : (n,), the inverse of an order."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def values_of(column: pa.Array, dtype: str) -> list[NDArray[Any]]:
    """Read binary values as arrays, without copying."""
    _, offsets, content = column.buffers()
    edges = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    values = np.frombuffer(content or b"", np.uint8)
    return [values[a:b].view(dtype) for a, b in pairwise(edges.tolist())]


def gathered(batches: Iterable[pa.RecordBatch], **dtypes: str) -> dict[str, list[NDArray[Any]]]:
    """Read columns of binary values from batches, each into one list of arrays.

    Parameters
    ----------
    dtypes : the columns' names and the types of their values
    """
    values: dict[str, list[NDArray[Any]]] = {name: [] for name in dtypes}
    for batch in batches:
        for name, dtype in dtypes.items():
            values[name] += values_of(batch.column(name), dtype)
    return values


def as_binary(rows: NDArray[Any], edges: NDArray[np.integer]) -> pa.Array:
    """Cut rows (n, ...) at the edges (n_values + 1,) into binary values, without copying."""
    offsets = (edges * rows[:1].nbytes).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(rows)]
    return pa.Array.from_buffers(pa.binary(), len(edges) - 1, buffers)


def as_lists(X: NDArray[Any], is_null: pa.Array | None = None) -> pa.Array:
    """Return the rows of a matrix as lists, without copying : (n,), null where told."""
    n, n_features = X.shape
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * np.int32(n_features))
    return pa.ListArray.from_arrays(offsets, pa.array(X.ravel()), mask=is_null)


def in_one_row(**arrays: NDArray[Any]) -> pa.RecordBatch:
    """Return arrays as one row of binary values, without copying."""
    values = [as_binary(array, np.array([0, len(array)])) for array in arrays.values()]
    return pa.RecordBatch.from_arrays(values, names=[*arrays])


@dataclass(frozen=True, eq=False)
class LocalPoints(LocalBlocks):
    """Points in this process's memory, with their ids.

    Attributes
    ----------
    ids : (n_rows,), in the order of X
    """

    ids: pa.Array = field(kw_only=True)


def fetched(table: pa.Table, read: PointReader, n_blocks: int, n_threads: int) -> LocalBlocks:
    """Put fetched points, rows of hash and embedding, into memory in the pool's order.

    If the rows have an id too, the result is ``LocalPoints``.
    """
    batches = table.to_batches()
    hashes = table["hash"].to_numpy()
    order = pool_order(hashes, map(read.vectors, batches), n_blocks)
    place = _places(order)
    edges = np.cumsum([0, *map(len, batches)])
    X = np.empty((len(order), read.n_features), np.float32)

    def put(batch: pa.RecordBatch, start: int, stop: int) -> None:
        X[place[start:stop]] = read.vectors(batch)

    with ThreadPoolExecutor(n_threads) as threads:
        list(threads.map(put, batches, edges[:-1], edges[1:]))
    where = positions(*np.unique(hashes % n_blocks, return_counts=True))
    if "id" not in table.column_names:
        return LocalBlocks(where, X, n_blocks, n_threads)
    ids = _in_one_piece(table["id"]).take(pa.array(order))
    return LocalPoints(where, X, n_blocks, n_threads, ids=ids)


def _in_one_piece(ids: pa.ChunkedArray) -> pa.Array:
    """Join ids; text and bytes get wide offsets, as there may be more than 2 GiB of them."""
    wide = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
    return ids.cast(wide.get(ids.type, ids.type)).combine_chunks()
