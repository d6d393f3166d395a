"""Read .npy and .npz: an array of two dimensions is a column of vectors, one of one a plain column.

Local .npy files are mapped into memory: a task reads its own rows alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.readers.sources import Source, UnreadableError

BATCH_BYTES = 16 << 20  # of vectors in an Arrow batch
ONLY = {1: "value", 2: "embedding"}  # what the array of a .npy is called, by its dimensions


def arrays_of(source: Source, wanted: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Return the arrays that are the columns, by name.

    Parameters
    ----------
    wanted : arrays of a .npz; by default the longest of two dimensions, and all that are as long

    Raises
    ------
    UnreadableError
        If it holds no array of one or two dimensions, or they are not of one length.
    """
    try:
        if source.path.endswith(".npz"):
            with np.load(source.open(), allow_pickle=False) as archive:
                return _columns(_loaded(archive, wanted), wanted, source.path)
        if source.content is None:
            array = np.load(source.local, mmap_mode="r", allow_pickle=False)
        else:
            array = np.load(source.open(), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError(f"{source.path} cannot be read by numpy: {error}") from error
    return _columns({ONLY.get(array.ndim, "value"): array}, wanted, source.path)


def _loaded(archive: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    missing = [name for name in wanted if name not in archive]
    if missing:
        raise UnreadableError(f"there is no array {missing}; there are {[*archive]}")
    arrays = {}
    for name in wanted or archive:
        try:
            arrays[name] = archive[name]
        except ValueError:  # of Python objects
            if wanted:
                raise
    return arrays


def _columns(
    arrays: Mapping[str, NDArray[Any]], wanted: Sequence[str], path: str
) -> dict[str, NDArray[Any]]:
    flat = {name: array for name, array in arrays.items() if array.ndim in (1, 2)}
    shapes = {name: array.shape for name, array in arrays.items()}
    if not flat:
        raise UnreadableError(f"{path} holds arrays of shapes {shapes}; want one of shape (n, d)")
    longest = max(flat.values(), key=lambda array: (array.ndim, len(array)))
    kept = {name: array for name, array in flat.items() if len(array) == len(longest)}
    if wanted and len(kept) < len(wanted):
        raise UnreadableError(f"{path}: arrays of shapes {shapes} are not of one length")
    return kept


def schema_of(source: Source, wanted: Sequence[str] = ()) -> tuple[pa.Schema, int]:
    """Return the columns' names and types, and the number of rows."""
    arrays = arrays_of(source, wanted)
    fields = [(name, as_arrow(array[:0]).type) for name, array in arrays.items()]
    return pa.schema(fields), len(next(iter(arrays.values())))


def batches_of(source: Source, wanted: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """Yield batches of the source's rows."""
    arrays = arrays_of(source, wanted)
    stop = len(next(iter(arrays.values()))) if source.stop < 0 else source.stop
    row_bytes = sum(a.itemsize * int(np.prod(a.shape[1:], dtype=int)) for a in arrays.values())
    step = max(1, BATCH_BYTES // max(1, row_bytes))
    for start in range(source.start, stop, step):
        part = {name: as_arrow(a[start : min(stop, start + step)]) for name, a in arrays.items()}
        yield pa.record_batch(part)


def as_arrow(array: NDArray[Any]) -> pa.Array:
    """Return an array of one or two dimensions as an Arrow array; float16 becomes float32."""
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 1:
        return pa.array(array)
    n, length = array.shape
    values = pa.array(np.ascontiguousarray(array).ravel())
    return pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * np.int32(length), values)
