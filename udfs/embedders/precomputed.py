"""Take vectors that the pool already holds: lists of numbers, or their raw bytes.

Spark shape map: ARRAY<FLOAT | DOUBLE | INT | ...> or BINARY -> (n, n_features) float32.
"""

from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from udfs.embedders.contract import Embedded, Embedder, Failure, embed_decoded
from udfs.embedders.encodings import FLOAT32, decode, n_bytes
from udfs.embedders.specs import Arrays, EmbedderSpec, told_length

NUMERIC_KINDS = "fiu"  # numpy's dtype kinds: float, int, unsigned int


def make_embedder(n_features: int, encoding: str = FLOAT32) -> Embedder:
    """Return an embedder of vectors with `n_features` components.

    Parameters
    ----------
    encoding : encoding of bytes, one of ``udfs.embedders.encodings.DTYPES``

    Raises
    ------
    ValueError
        If `n_features` is not positive.
    """
    if n_features < 1:
        raise ValueError(f"n_features={n_features} should be >= 1; give the vectors' length")

    def embed(values: pd.Series) -> Embedded:
        return embed_decoded(
            values, lambda value: _as_row(value, n_features, encoding), _stack_rows, n_features
        )

    return embed


def _as_row(value: Any, n_features: int, encoding: str) -> NDArray[Any] | Failure:
    """Return one value as a 1-D numeric array of `n_features` components."""
    if isinstance(value, bytes | bytearray):
        size = n_bytes(encoding) * n_features
        if len(value) != size:
            return Failure("wrong_length", f"{len(value)} bytes, the pool has {size} ({encoding})")
        return decode(value, encoding)
    if not isinstance(value, np.ndarray | list | tuple):
        return Failure("undecodable", f"{type(value).__name__} is not a list of numbers")
    try:
        row = np.asarray(value)
    except ValueError:  # lists of different lengths inside
        return Failure("undecodable", "not a flat list of numbers")
    if row.ndim != 1:
        return Failure("undecodable", f"an array of shape {row.shape} is not a flat list")
    if len(row) != n_features:
        return Failure("wrong_length", f"length {len(row)}, the pool has {n_features}")
    if row.dtype.kind not in NUMERIC_KINDS:
        return _from_objects(np.asarray(value, dtype=object))
    return row


def _from_objects(row: NDArray[np.object_]) -> NDArray[np.float64] | Failure:
    """Return a row of Python objects (decimals, nulls, long ints) as numbers."""
    for j, component in enumerate(row):
        if component is None or component is pd.NA:
            return Failure("nan", f"null at index {j}")
        if isinstance(component, bool | complex) or not isinstance(component, Number):
            return Failure("undecodable", f"{type(component).__name__} at index {j}")
    try:
        return row.astype(np.float64)
    except (OverflowError, ValueError) as error:  # an int beyond float64, a signalling nan
        return Failure("undecodable", str(error))


def _stack_rows(rows: list[NDArray[Any]]) -> NDArray[np.float32]:
    """Stack rows of equal length into a matrix; what float32 cannot hold becomes inf or 0."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        flat = np.concatenate(rows, dtype=np.float32, casting="unsafe")
    return flat.reshape(len(rows), -1)


def _make(arrays: Arrays) -> Embedder:
    return make_embedder(told_length(arrays), str(arrays.get("encoding", FLOAT32)))


SPEC = EmbedderSpec(
    name="precomputed",
    reads="embedding",
    makes="embedding",
    make=_make,
    n_features=told_length,
)
