"""Pairs of similar points: a float32 GEMM proposes, exact cosines decide.

On the grid a dot product and a squared norm are whole numbers below 2^53, so that

    cosine = x.y / sqrt(|x|^2 |y|^2)

is one root and one division of exact numbers: the same everywhere, and 1 for equal points. The
GEMM's dot product is off by at most gamma |x| |y|, gamma = (d + 4) u / (1 - (d + 4) u), u = 2^-24
(see ``exact.nearest``); pairs that close to the threshold are computed exactly to decide.

Most pairs are far apart, and half of the features show it: with a and b the first half and the rest
of a vector, x.y <= a_x.a_y + |b_x| |b_y|, a product half as long. As long as few pairs pass this
bound, the whole product is not computed.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_BETTER = 16  # neighbours kept per point, the best in rank; bounds what is sent on
_ROWS, _COLUMNS = 256, 2048  # per GEMM, so that scores stay in the cache
_PAIRS_AT_ONCE = 1 << 14  # pairs whose exact cosines are computed together
_LEAST_HALVED = 64  # features; a shorter product saves nothing
_FEW = 2.0**-9  # share of pairs whose exact cosines take less time than the rest of the product
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
    norms = np.sqrt(squared_norms(X))
    halves = halved(X) if X.shape[1] >= _LEAST_HALVED else None
    found = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    scores = np.empty((_ROWS, _COLUMNS), np.float32)
    for start in range(0, len(X), _ROWS):
        stop = min(start + _ROWS, len(X))
        room = np.full(stop - start, most)
        for first in range(0, stop, _COLUMNS):
            tile = _Tile(slice(start, stop), slice(first, min(first + _COLUMNS, stop)), scores)
            pairs = None
            if halves is not None:
                pairs = _similar_if_few(X, halves, norms, tile, threshold)
            if pairs is None:
                pairs, halves = _similar(X, norms, tile, threshold), None
            row, better = pairs
            kept = _first_of_each(row - start, room)
            row, better = row[kept], better[kept]
            np.subtract.at(room, row - start, 1)
            found.append(Pairs(row, better, cosines(X, X, row, better)))
            if not room.any():
                break
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def halved(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors about half as long, whose products are no less than those of the given ones.

    Parameters
    ----------
    X : (n, n_features) float32, grid coordinates

    Returns
    -------
    halves : (n, n_features // 2 + 1) float32, the first half of the features, and the length of the
        rest, rounded up
    """
    n_first = X.shape[1] // 2
    halves = np.empty((len(X), n_first + 1), np.float32)
    halves[:, :-1] = X[:, :n_first]
    halves[:, -1] = np.nextafter(
        np.sqrt(squared_norms(X[:, n_first:])).astype(np.float32), np.float32(np.inf)
    )
    return halves


class _Tile(NamedTuple):
    """Some rows, those that may be better, and memory for the products of both."""

    rows: slice
    columns: slice
    scores: NDArray[np.float32]

    def products(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the dot products of the tile's pairs : (n_rows, n_columns)."""
        x, y = X[self.rows], X[self.columns]
        out = self.scores.ravel()[: len(x) * len(y)].reshape(len(x), len(y))
        return np.matmul(x, y.T, out=out)

    def at_least(
        self, dots: NDArray[np.float32], norms: NDArray[np.float64], low: float
    ) -> NDArray[np.intp]:
        """Return where products may be at least ``low`` times the norms : flat indices."""
        mine, theirs = norms[self.rows], norms[self.columns]
        of_norms = mine.min() * theirs.min() if low > 0 else mine.max() * theirs.max()
        return np.flatnonzero(dots >= np.nextafter(np.float32(low * of_norms), np.float32(-np.inf)))

    def pairs(self, at: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the points of flat indices."""
        row, better = np.divmod(at, self.columns.stop - self.columns.start)
        return row + self.rows.start, better + self.columns.start


def _similar_if_few(
    X: NDArray[np.float32],
    halves: NDArray[np.float32],
    norms: NDArray[np.float64],
    tile: _Tile,
    threshold: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return a tile's similar pairs, row by row in order of rank; None if many may be."""
    dots = tile.products(halves)
    # covers the roundings of ``halves`` as well, whose products are only half as long
    at = tile.at_least(dots, norms, threshold - dot_error(X.shape[1]))
    # each row is a pair with itself, too
    if len(at) > _FEW * dots.size + len(dots):
        return None
    row, better = tile.pairs(at)
    is_before = better < row
    row, better = row[is_before], better[is_before]
    is_near = cosines(X, X, row, better) >= threshold
    return row[is_near], better[is_near]


def _similar(
    X: NDArray[np.float32], norms: NDArray[np.float64], tile: _Tile, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a tile's similar pairs, row by row in order of rank."""
    dots, slack = tile.products(X), dot_error(X.shape[1])
    at = tile.at_least(dots, norms, threshold - slack)
    row, better = tile.pairs(at)
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
