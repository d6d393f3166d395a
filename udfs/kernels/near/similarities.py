"""How similar points' nearest others are, and where a threshold for copies may lie."""

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.near.pairs import cosines, squared_norms

_ROWS = 64  # rows whose scores are held at once
STEP = 0.01  # between candidate thresholds
_LOWEST, _HIGHEST = 0.80, 0.98  # range of candidate thresholds
_LEAST = 5  # points that make a mass, and by which it must stand out


def distinct_rows(X: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the first of each of the rows that are the same : (n_distinct,) indices, in order."""
    first: dict[bytes, int] = {}
    for i, row in enumerate(X + np.float32(0)):  # turns -0 into 0
        first.setdefault(row.tobytes(), i)
    return np.array([*first.values()], np.int64)


def nearest_others(
    X: NDArray[np.float32], n_asked: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the nearest other point of the first points.

    Of those that a float32 product cannot tell apart, it is any.

    Parameters
    ----------
    X : (n, n_features) float32, grid coordinates; n of at least 2

    Returns
    -------
    nearest : (min(n_asked, n),) int64
    cosine : (min(n_asked, n),) float64, to it
    """
    asked = np.arange(min(n_asked, len(X)))
    inverse = (1 / np.sqrt(squared_norms(X))).astype(np.float32)
    nearest = np.empty(len(asked), np.int64)
    for start in range(0, len(asked), _ROWS):
        rows = asked[start : start + _ROWS]
        scores = (X[rows] @ X.T) * inverse  # (n_rows, n)
        scores[np.arange(len(rows)), rows] = -np.inf
        nearest[rows] = scores.argmax(axis=1)
    return nearest, cosines(X, X, asked, nearest)


def proposed_threshold(cosine: NDArray[np.float64]) -> float | None:
    """Return the highest valley between a mass of copies near 1 and the bulk of the points.

    A valley is a threshold t with the fewest nearest others within STEP of it, if both the densest
    place above and the densest place below hold twice as many and _LEAST more. None: the points
    have no such mass, and any threshold would cut the bulk.

    Parameters
    ----------
    cosine : (n,), of points to their nearest others
    """
    n_steps = round(1 / STEP)
    place = np.clip(np.floor(cosine * n_steps + 1e-9), 0, n_steps - 1).astype(int)
    counts = np.bincount(place, minlength=n_steps)  # in [i, i + 1) STEPs; 1 itself is in the last
    windows = counts[1:] + counts[:-1]  # windows[i - 1] lies around i steps
    best: tuple[int, float] | None = None
    for step in range(round(_LOWEST * n_steps), round(_HIGHEST * n_steps) + 1):
        here = int(windows[step - 1])
        above, below = windows[step:].max(initial=0), windows[: step - 1].max(initial=0)
        if min(above, below) >= 2 * here + _LEAST and (best is None or here <= best[0]):
            best = here, step * STEP
    return None if best is None else round(best[1], 2)
