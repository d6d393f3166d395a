"""Dot products of embeddings, exact in single precision in any order of summation.

An embedding of length 1 becomes a row of whole numbers, ``rint(SCALE x)``, of length at most 4096:
SCALE is 4096 less what rounding can add, half the root of the number of features. Then by Cauchy
and Schwarz every sum of products over any of the features is a whole number of at most 2^24, which
float32 holds. So ``sgemm`` rounds nowhere: its result is the same on every BLAS, CPU and number of
threads, with fused multiply-add and without, whatever rows are beside it.

What rounding to whole numbers costs: a dot product is off by at most sqrt(d) / SCALE + d / (4
SCALE^2), .0055 at 512 features, if all errors agree; by some 1e-4 (standard deviation) if they are
as good as random. Looking losses up at the 2^16 places of ``to_places`` adds at most 2^-16.
"""

import math

import numpy as np
from numpy.typing import NDArray

LONGEST = 4096  # coordinates; its square is 2^24
N_PLACES = 2**16  # grid over dot products from -1 to 1
MIDDLE = N_PLACES // 2
DOTS_PER_PLACE = LONGEST**2 // MIDDLE

Coordinates = NDArray[np.float32]  # (n, n_features), whole numbers


def scale_of(n_features: int) -> float:
    """Return the coordinates' scale: what 1 becomes.

    Raises
    ------
    ValueError
        If there are so many features that rounding would leave nothing.
    """
    scale = LONGEST - 1 - math.ceil(math.sqrt(n_features) / 2)  # 1: lengths of 1 come rounded too
    if scale < LONGEST // 2:
        raise ValueError(f"{n_features} features; want at most {LONGEST**2 - 2 * LONGEST}")
    return float(scale)


def to_coordinates(X: NDArray[np.floating]) -> NDArray[np.int16]:
    """Round embeddings of length 1 : (n, n_features) -> int16."""
    return np.asarray(np.rint(X.astype(np.float64) * scale_of(X.shape[1])), np.int16)


def cosines(dots: NDArray[np.floating], n_features: int) -> NDArray[np.float64]:
    """Return the cosines, -1 to 1, that dot products of coordinates stand for : of any shape."""
    return dots.astype(np.float64) / scale_of(n_features) ** 2


def to_places(dots: NDArray[np.float32], out: NDArray[np.int64]) -> None:
    """Find the nearest places of dot products; changes the dots.

    Parameters
    ----------
    dots, out : of one shape; the dots scaled to -MIDDLE to MIDDLE
    """
    dots += np.float32(MIDDLE + 0.5)  # rounds to 2^-7 of a place, under IEEE 754 everywhere
    np.copyto(out, dots, casting="unsafe")


def place_cosines(n_features: int) -> NDArray[np.float64]:
    """Return the cosine at every place : (N_PLACES + 1,)."""
    return cosines((np.arange(N_PLACES + 1) - MIDDLE) * float(DOTS_PER_PLACE), n_features)


def matched_dots(image: Coordinates, text: Coordinates) -> NDArray[np.float32]:
    """Return the dot product of every pair : (n,)."""
    return np.asarray(np.einsum("ij,ij->i", image, text), np.float32)
