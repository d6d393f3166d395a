"""The grid that makes clustering exact: every vector is a row of small integers.

With g = 2^ceil(log2(largest norm)) * 2^-24, vectors are rounded to multiples of g and kept in
*grid coordinates* x/g: float32 rows of integers whose norm is at most 2^24 (plus rounding). Then

- a squared distance is an integer below 2^51, exact in float64 in any order of summation;
- a sum of vectors is exact in float64 up to 2^29 rows.

So no result depends on the partitioning, the thread count, the BLAS or the CPU.
"""

import math

import numpy as np
from numpy.typing import NDArray

GRID_BITS = 24  # mantissa bits of float32: a grid coordinate is exact in it
LIMB_BITS = 26  # bits of the lower limb of a squared distance
_LOW = 2**LIMB_BITS - 1


def grid_unit(largest_norm: float) -> float:
    """Return the grid's unit for vectors of at most this L2 norm (a power of two).

    Raises
    ------
    ValueError
        If the norm is not positive and finite, or so small that the grid leaves float32's range.
    """
    if not (math.isfinite(largest_norm) and largest_norm > 0):
        raise ValueError(f"largest norm is {largest_norm}; want a positive finite number")
    mantissa, exponent = math.frexp(largest_norm)  # largest_norm = mantissa * 2^exponent
    unit = math.ldexp(1.0, (exponent - 1 if mantissa == 0.5 else exponent) - GRID_BITS)
    if not 2.0**-126 <= unit <= 2.0**100:
        raise ValueError(
            f"largest norm {largest_norm:g} leaves float32's range on the grid; "
            "scale the embeddings or set embed.normalize: true"
        )
    return unit


def to_grid(X: NDArray[np.floating], unit: float) -> NDArray[np.float32]:
    """Round vectors to the grid : (n, d) float -> (n, d) float32 holding integers."""
    if X.dtype == np.float32:  # a power of two scales exactly
        scaled: NDArray[np.float32] = np.multiply(X, np.float32(1 / unit))
        return np.rint(scaled, out=scaled)
    return np.asarray(np.rint(np.divide(X, unit, dtype=np.float64)), np.float32)


def from_grid(X: NDArray[np.float32], unit: float) -> NDArray[np.float32]:
    """Return grid coordinates to the embedding's own scale; exact : (n, d) float32."""
    return (X * np.float32(unit)).astype(np.float32)


def mean_on_grid(
    sums: NDArray[np.float64], counts: NDArray[np.int64] | NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return means rounded to the grid : (k, d) sums, (k,) positive counts -> (k, d) float32."""
    return np.rint(sums / counts[:, None]).astype(np.float32)


def split_limbs(numbers: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Split whole numbers into two limbs whose sums stay below 2^63 : (n,) -> (n, 2)."""
    whole = numbers.astype(np.int64)
    return np.stack([whole >> LIMB_BITS, whole & _LOW], axis=-1)


def join_limbs(limbs: NDArray[np.int64]) -> int:
    """Return the exact sum from its limbs : (2,) int64 -> Python int."""
    return (int(limbs[0]) << LIMB_BITS) + int(limbs[1])


def limbs_of(total: int) -> NDArray[np.int64]:
    """Return the limbs of one exact sum : (2,) int64."""
    return np.array([total >> LIMB_BITS, total & _LOW])


def limbs_as_float(limbs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return exact sums as floats, rounded once if they are below 2^79 : (k, 2) -> (k,)."""
    high, low = limbs[:, 0] + (limbs[:, 1] >> LIMB_BITS), limbs[:, 1] & _LOW
    return np.asarray(high * 2.0**LIMB_BITS + low)


def exact_sum(numbers: NDArray[np.float64] | NDArray[np.int64]) -> int:
    """Add up whole numbers exactly, however many : (n,) -> Python int."""
    return join_limbs(split_limbs(numbers).sum(axis=0))


def distinct(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Drop repeated rows, keeping the first of each and the order : (n, d) -> (n_distinct, d)."""
    first: dict[bytes, int] = {}
    for i, row in enumerate(rows + np.float32(0)):  # turns -0 into 0
        first.setdefault(row.tobytes(), i)
    return rows[list(first.values())]
