"""Batches out of an export's Parquet files, as arrays; any batch, in any order."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from jobs.training.index import BATCH, POSITION, File, Index, located

Batch = dict[str, Any]  # column -> numpy array, or a list where no array holds the values
_Held = dict[str, NDArray[Any] | pa.ChunkedArray]  # columns that are not arrays stay as they are

_MOST_OPEN = 32  # files that one reader keeps open
_MOST_HELD = 64 << 20  # bytes of row groups held for the other batches in them


@dataclass
class _Open:
    """A file that is open.

    Attributes
    ----------
    starts : n_batches + 1 rows at which its batches begin, and the last ends
    group_starts : n_row_groups + 1 rows at which its row groups begin
    """

    parquet: pq.ParquetFile
    starts: list[int]
    group_starts: list[int]


class BatchFiles:
    """Reads single batches; not to be shared by processes.

    Parameters
    ----------
    columns : columns to read besides ``batch_id`` and ``position``; all by default
    """

    def __init__(
        self,
        folder: str,
        index: Index,
        columns: Sequence[str] | None = None,
        *,
        use_threads: bool = True,
    ) -> None:
        self.folder, self.index, self.use_threads = folder, index, use_threads
        self.columns = chosen_columns(index, columns)
        self._system, self._path = located(folder)
        self._firsts = [file.first_batch for file in index.files]
        self._open: OrderedDict[str, _Open] = OrderedDict()
        # row groups of several batches, by path and numbers, the last used at the end
        self._held: OrderedDict[tuple[str, int, int], _Held] = OrderedDict()
        self._held_bytes = 0

    def read(self, batch: int) -> Batch:
        """Return one batch: its number, and its columns as arrays or lists, in order.

        Raises
        ------
        ValueError
            If a file is not what the index says.
        """
        file = self.index.files[bisect_right(self._firsts, batch) - 1]
        opened, i = self._opened(file), batch - file.first_batch
        rows = self._rows(file.path, opened, opened.starts[i], opened.starts[i + 1])
        return {BATCH: batch, **rows}

    def _rows(self, path: str, opened: _Open, start: int, stop: int) -> Batch:
        """Read the row groups that hold a batch, and cut it out; held, if they hold others too."""
        first = bisect_right(opened.group_starts, start) - 1
        last = bisect_left(opened.group_starts, stop)
        offset, n_rows = opened.group_starts[first], stop - start
        key = (path, first, last)
        if (held := self._held.get(key)) is not None:
            self._held.move_to_end(key)
            return _cut(held, start - offset, n_rows)
        table = opened.parquet.read_row_groups(
            range(first, last), columns=self.columns, use_threads=self.use_threads
        )
        named = zip(table.column_names, table.columns, strict=True)
        if table.num_rows == n_rows:
            return {name: as_array(column) for name, column in named}
        whole = {name: (c if (found := _array(c)) is None else found) for name, c in named}
        self._held[key] = whole
        self._held_bytes += _n_bytes(whole)
        while self._held_bytes > _MOST_HELD and len(self._held) > 1:
            self._held_bytes -= _n_bytes(self._held.popitem(last=False)[1])
        return _cut(whole, start - offset, n_rows)

    def _opened(self, file: File) -> _Open:
        if file.path in self._open:
            self._open.move_to_end(file.path)
            return self._open[file.path]
        while len(self._open) >= _MOST_OPEN:
            self._open.popitem(last=False)[1].parquet.close(force=True)
        self._open[file.path] = opened = _open(self._system, f"{self._path}/{file.path}", file)
        return opened


def chosen_columns(index: Index, columns: Sequence[str] | None) -> list[str]:
    """Return the columns to read, in the files' order.

    Raises
    ------
    ValueError
        If one is not there.
    """
    own = [name for name in index.columns if name not in (BATCH, POSITION)]
    if columns is None:
        return own
    unknown = [name for name in columns if name not in own]
    if unknown:
        raise ValueError(
            f"columns={list(columns)}: {unknown} not among the export's {own}; export with "
            f"--columns {','.join(unknown)} to add them"
        )
    return [name for name in own if name in columns]


def _open(system: fs.FileSystem, path: str, file: File) -> _Open:
    """Open a file and find its batches: by the row groups' statistics, if each is of one batch."""
    try:
        # a local disk is quick by itself; a store is asked for all columns at once
        is_far = not isinstance(system, fs.LocalFileSystem)
        parquet = pq.ParquetFile(path, filesystem=system, pre_buffer=is_far)
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path} cannot be read: {error}; export to a new folder") from error
    metadata = parquet.metadata
    if metadata.num_rows != file.n_rows:
        raise ValueError(
            f"{path} has {metadata.num_rows} rows, the index says {file.n_rows}; it has been "
            "changed: export to a new folder"
        )
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    sizes = [group.num_rows for group in groups]
    group_starts = [0, *accumulate(sizes)]
    place = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == BATCH)
    told = [group.column(place).statistics for group in groups]
    wanted = range(file.first_batch, file.last_batch + 1)
    is_one_each = len(groups) == len(wanted) and all(
        stats is not None and stats.has_min_max and stats.min == stats.max == batch
        for stats, batch in zip(told, wanted, strict=True)
    )
    starts = group_starts if is_one_each else _found(parquet, wanted, path)
    return _Open(parquet, starts, group_starts)


def _found(parquet: pq.ParquetFile, wanted: range, path: str) -> list[int]:
    """Find where batches begin by reading their numbers."""
    numbers = parquet.read(columns=[BATCH])[BATCH].to_numpy()
    starts = np.searchsorted(numbers, np.arange(wanted.start, wanted.stop + 1), "left")
    if (np.diff(numbers) < 0).any() or (np.diff(starts) == 0).any() or starts[-1] != len(numbers):
        raise ValueError(
            f"{path} does not hold batches {wanted.start} to {wanted.stop - 1} in order; it has "
            "been changed: export to a new folder"
        )
    return [int(start) for start in starts]


def as_array(column: pa.ChunkedArray) -> Any:
    """Return a column as an array of its own memory, or as a list.

    Numbers and booleans become (n,), lists of numbers (n, length), if none is null and all are of
    one length; anything else a list of Python values.
    """
    found = _array(column)
    return column.to_pylist() if found is None else found


def _array(column: pa.ChunkedArray) -> NDArray[Any] | None:
    """Return a column as an array, if one holds it."""
    kind = column.type
    if column.null_count == 0 and (_is_number(kind) or pa.types.is_boolean(kind)):
        return _own(_one(column))
    if column.null_count == 0 and pa.types.is_list(kind) and _is_number(kind.value_type):
        array = _one(column)
        lengths = np.diff(array.offsets.to_numpy())
        values = array.flatten()
        if len(lengths) and (lengths == lengths[0]).all() and values.null_count == 0:
            return _own(values).reshape(len(lengths), int(lengths[0]))
    return None


def _cut(held: _Held, start: int, n_rows: int) -> Batch:
    """Cut a batch out of what is held, in memory of its own."""
    return {
        name: values[start : start + n_rows].copy()
        if isinstance(values, np.ndarray)
        else as_array(values.slice(start, n_rows))
        for name, values in held.items()
    }


def _n_bytes(held: _Held) -> int:
    return sum(values.nbytes for values in held.values())


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _own(values: pa.Array) -> NDArray[Any]:
    """Return values in memory of their own, to be written to."""
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False, writable=True)
    return array


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
