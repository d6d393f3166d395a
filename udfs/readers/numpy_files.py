"""Read .npy and .npz: an array of two dimensions is a column of vectors, one of one a plain column.

Local .npy files are mapped into memory: a task reads its own rows alone.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.readers.sources import Source, UnreadableError, read_as

BATCH_BYTES = 16 << 20  # bytes of vectors in an Arrow batch
ONLY = {1: "value", 2: "embedding"}  # column of a .npy array, by its number of dimensions
PASSED_OVER = b"passed over"  # metadata key of the arrays passed over
_READ = "one or two dimensions of float16, float32, float64, whole numbers, text, bytes or dates"


class Arrays(NamedTuple):
    """The arrays that are columns, by name, and a description of the others."""

    columns: dict[str, NDArray[Any]]
    passed_over: str = ""


def arrays_of(
    source: Source, wanted: Sequence[str] = (), named: Sequence[str] | None = ()
) -> Arrays:
    """Return the arrays that are the columns.

    Parameters
    ----------
    wanted : arrays of a .npz; by default those of two dimensions, and all that are as long
    named : columns that the config names, the first of which says which length is meant if several
        are possible; None for the longest

    Raises
    ------
    UnreadableError
        If no array can be read, they are not of one length, or it is not clear which are meant.
    """
    with read_as(source.path, "arrays of numpy"):
        with source.open() as file:
            is_archive = file.read(2) == b"PK"
        if is_archive:
            return _chosen(_loaded(source, wanted), wanted, named, source.path)
        array = _single(source)
        name = "value" if array is None else ONLY.get(array.ndim, "value")
        return _chosen({name: array}, (), (), source.path)


def _single(source: Source) -> NDArray[Any] | None:
    """Return the array of a .npy; None: of Python objects, which are code."""
    file = source.open() if source.content is not None else None
    try:
        if file is not None:
            array = np.load(file, allow_pickle=False)
            end, size = file.tell(), len(source.content or b"")
        else:
            array = np.load(source.local, mmap_mode="r", allow_pickle=False)
            end, size = array.offset + array.nbytes, os.path.getsize(source.local)
    except ValueError as error:
        if _is_of_objects(error):
            return None
        raise
    if end < size:
        raise UnreadableError(
            f"{source.path} goes on behind its array, which ends at byte {end:,} of {size:,}; want "
            "one array a file: write the others into files of their own"
        )
    return np.asarray(array)


def _loaded(source: Source, wanted: Sequence[str]) -> dict[str, NDArray[Any] | None]:
    with source.open() as file, np.load(file, allow_pickle=False) as archive:
        missing = [name for name in wanted if name not in archive]
        if missing:
            raise UnreadableError(
                f"{source.path}: there is no array {missing}; there are {[*archive]}"
            )
        arrays: dict[str, NDArray[Any] | None] = {}
        for name in wanted or archive:
            try:
                found = archive[name]
            except ValueError as error:
                if not _is_of_objects(error):
                    raise
                found = None
            arrays[name] = found if isinstance(found, np.ndarray) else None
    return arrays


def _is_of_objects(error: ValueError) -> bool:
    return "bject" in str(error)  # numpy's words differ by the way that it reads


def _chosen(
    arrays: Mapping[str, NDArray[Any] | None],
    wanted: Sequence[str],
    named: Sequence[str] | None,
    path: str,
) -> Arrays:
    told = {name: _told(name, array) for name, array in arrays.items()}
    fit = {name: array for name, array in arrays.items() if array is not None and _fits(array)}
    if not fit or (wanted and len(fit) < len(arrays)):
        bad = [told[name] for name in arrays if name not in fit]
        raise UnreadableError(f"{path} holds {', '.join(bad) or 'no array'}; want {_READ}")
    n_dimensions = max(array.ndim for array in fit.values())
    lengths = {
        name: len(array) for name, array in fit.items() if wanted or array.ndim == n_dimensions
    }
    meant = [len(fit[name]) for name in named or () if name in fit]
    length = next(iter(meant), max(lengths.values()))
    if len({*lengths.values()}) > 1 and named is not None and (wanted or not meant):
        raise UnreadableError(
            f"{path} holds arrays of several lengths: {', '.join(told[name] for name in lengths)}; "
            'want one: name those that belong together in input.options.arrays, such as "X, y"'
        )
    kept = {name: array for name, array in fit.items() if len(array) == length}
    without = [told[name] for name, array in kept.items() if array.ndim == 2 and not array.shape[1]]
    if without:
        raise UnreadableError(
            f"{path} holds {', '.join(without)}: vectors without components; want at least one"
        )
    return Arrays(kept, ", ".join(told[name] for name in arrays if name not in kept))


def _told(name: str, array: NDArray[Any] | None) -> str:
    if array is None:
        return f"{name} of Python objects"
    return f"{name} {array.shape} of {array.dtype}"


def _fits(array: NDArray[Any]) -> bool:
    """Return whether an array can be a column."""
    if array.ndim not in (1, 2):
        return False
    try:
        as_arrow(array[:0])
    except (pa.ArrowException, TypeError):
        return False
    return array.dtype != object


def schema_of(
    source: Source, wanted: Sequence[str] = (), named: Sequence[str] = ()
) -> tuple[pa.Schema, int]:
    """Return the columns' names and types, vectors as lists of fixed size, and the row count.

    What is passed over is named in the schema's metadata.
    """
    arrays, passed_over = arrays_of(source, wanted, named)
    fields = []
    for name, array in arrays.items():
        kind = as_arrow(array[:0]).type
        if array.ndim == 2:
            kind = pa.list_(kind.value_type, array.shape[1])
        fields.append((name, kind))
    told = {PASSED_OVER: "" if wanted else passed_over}
    return pa.schema(fields, metadata=told), len(next(iter(arrays.values())))


def batches_of(
    source: Source, wanted: Sequence[str] = (), named: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yield batches of the source's rows."""
    arrays = arrays_of(source, wanted, named).columns
    stop = len(next(iter(arrays.values()))) if source.stop < 0 else source.stop
    row_bytes = sum(a.itemsize * int(np.prod(a.shape[1:], dtype=int)) for a in arrays.values())
    step = max(1, BATCH_BYTES // max(1, row_bytes))
    for start in range(source.start, stop, step):
        part = {name: as_arrow(a[start : min(stop, start + step)]) for name, a in arrays.items()}
        yield pa.record_batch(part)


def as_arrow(array: NDArray[Any]) -> pa.Array:
    """Return an array (n,) or (n, d) as an Arrow array; float16 becomes float32."""
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 1:
        return pa.array(array)
    n, length = array.shape
    values = pa.array(np.ascontiguousarray(array).ravel())
    return pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * np.int32(length), values)
