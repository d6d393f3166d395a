"""Pairs of similar points: a float32 GEMM proposes, exact cosines decide.

On the grid a dot product and a squared norm are whole numbers below 2^53, so that

    cosine = x.y / sqrt(|x|^2 |y|^2)

is one root and one division of exact numbers: the same everywhere, and 1 for equal points. The
GEMM's dot product is off by at most gamma |x| |y|, gamma = (d + 4) u / (1 - (d + 4) u), u = 2^-24
(see ``exact.nearest``); pairs that close to the threshold are computed exactly to decide.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_BETTER = 16  # neighbours kept per point, the best in rank; bounds what is sent on
_ROWS, _COLUMNS = 256, 2048  # per GEMM, so that scores stay in the cache
_PAIRS_AT_ONCE = 1 << 14  # pairs whose exact cosines are computed together
_UNIT_ROUNDOFF = 2.0**-24  # of float32


class Pairs(NamedTuple):
    """Similar pairs.

    Attributes
    ----------
    row, better : (n_pairs,) int64, points; better comes before row in rank
    cosine : (n_pairs,) float64, exact up to one final rounding
    """

    row: NDArray[np.int64]
    better: NDArray[np.int64]
    cosine: NDArray[np.float64]


def better_neighbours(X: NDArray[np.float32], threshold: float, most: int = MOST_BETTER) -> Pairs:
    """Find every point's neighbours among those before it, the first ``most`` of them.

    Parameters
    ----------
    X : (n, n_features) float32, grid coordinates, in order of rank
    threshold : the least cosine similarity of neighbours
    """
    sq_norms = squared_norms(X)
    found = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    scores = np.empty((_ROWS, _COLUMNS), np.float32)
    for start in range(0, len(X), _ROWS):
        stop = min(start + _ROWS, len(X))
        room = np.full(stop - start, most)
        for first in range(0, stop, _COLUMNS):
            last = min(first + _COLUMNS, stop)
            out = scores.ravel()[: (stop - start) * (last - first)]
            dots = np.matmul(
                X[start:stop], X[first:last].T, out=out.reshape(stop - start, last - first)
            )
            row, better = _similar(X, sq_norms, dots, start, first, threshold)
            kept = _first_of_each(row - start, room)
            row, better = row[kept], better[kept]
            np.subtract.at(room, row - start, 1)
            found.append(Pairs(row, better, cosines(X, X, row, better)))
            if not room.any():
                break
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _similar(
    X: NDArray[np.float32],
    sq_norms: NDArray[np.float64],
    dots: NDArray[np.float32],
    start: int,
    first: int,
    threshold: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of one product that are similar, row by row in order of rank.

    Parameters
    ----------
    dots : (n_rows, n_columns), of the rows from ``start`` on with those from ``first`` on
    """
    n_rows, n_columns = dots.shape
    norms = np.sqrt(sq_norms)
    mine, theirs = norms[start : start + n_rows], norms[first : first + n_columns]
    slack = dot_error(X.shape[1])
    low = threshold - slack
    of_norms = mine.min() * theirs.min() if low > 0 else mine.max() * theirs.max()
    cut = np.nextafter(np.float32(low * of_norms), np.float32(-np.inf))
    at = np.flatnonzero(dots >= cut)
    row, better = np.divmod(at, n_columns)
    row, better = row + start, better + first
    is_before = better < row
    at, row, better = at[is_before], row[is_before], better[is_before]
    is_near = dots.ravel()[at] >= (threshold + slack) * (norms[row] * norms[better])
    unsure = np.flatnonzero(~is_near)
    is_near[unsure] = cosines(X, X, row[unsure], better[unsure]) >= threshold
    return row[is_near], better[is_near]


def _first_of_each(row: NDArray[np.int64], room: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pairs have room in their row : rows ascending -> (n_pairs,) bool."""
    starts = np.searchsorted(row, np.arange(len(room)))
    return np.asarray(np.arange(len(row)) - starts[row] < room[row])


def squared_norms(X: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return exact squared norms of rows of grid coordinates : (n,) float64."""
    exact: NDArray[np.float64] = np.einsum("ij,ij->i", X, X, dtype=np.float64)
    return exact


def cosines(
    X: NDArray[np.float32],
    Y: NDArray[np.float32],
    row: NDArray[np.integer],
    other: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the cosines of pairs of rows of two matrices on the grid : (n_pairs,) float64."""
    found = np.empty(len(row))
    for i in range(0, len(row), _PAIRS_AT_ONCE):
        piece = slice(i, i + _PAIRS_AT_ONCE)
        x, y = X[row[piece]], Y[other[piece]]
        dots = np.einsum("ij,ij->i", x, y, dtype=np.float64)
        found[piece] = dots / np.sqrt(squared_norms(x) * squared_norms(y))
    return found


def dot_error(n_features: int) -> float:
    """Return the error bound of a float32 dot product, over the product of the norms."""
    terms = (n_features + 4) * _UNIT_ROUNDOFF
    return 1.001 * terms / (1 - terms)
