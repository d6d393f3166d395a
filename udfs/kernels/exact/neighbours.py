"""Nearest neighbours: a float32 GEMM proposes, exact float64 distances decide.

As in ``kernels.exact.nearest``: all of a row's k nearest score within twice the error bound of its
k-th best score.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Buffers, Centroids, error_bound, scores_of, sq_distances

ROWS = 256  # rows whose scores are held at once
_PAIRS = 1 << 14  # pairs whose distances are computed at once


class Neighbours(NamedTuple):
    """The k nearest of every row, the nearest first; where there are fewer, -1 at infinity.

    Attributes
    ----------
    labels : (n_samples, k) int64, indices of points
    sq_dist : (n_samples, k) float64, exact, in squared grid units
    """

    labels: NDArray[np.int64]
    sq_dist: NDArray[np.float64]


def nearest_among(
    X: NDArray[np.float32],
    points: Centroids,
    k: int,
    *,
    own: NDArray[np.int64] | None = None,
    within: NDArray[np.float64] | None = None,
    buffers: Buffers | None = None,
) -> Neighbours:
    """Find every row's k nearest points, ties to the lowest index.

    Parameters
    ----------
    X : (n_samples, n_features) grid coordinates
    points : (n_points, n_features), the points searched
    own : (n_samples,), the point that is the row itself, not its neighbour; -1 if there is none
    within : (n_samples,), the squared distance beyond which points need not be found; any if None
    """
    buffers = buffers or Buffers()
    own = np.full(len(X), -1) if own is None else own
    within = np.full(len(X), np.inf) if within is None else within
    runs = (slice(i, i + ROWS) for i in range(0, len(X), ROWS))
    parts = [_of_rows(X[run], points, k, own[run], within[run], buffers) for run in runs]
    none = Neighbours(np.empty((0, k), np.int64), np.empty((0, k)))
    return Neighbours(*map(np.concatenate, zip(none, *parts, strict=True)))


def smallest(sq_dist: Sequence[NDArray[np.float64]], k: int) -> NDArray[np.float64]:
    """Return the k smallest of the same rows' distances in several sets : (n_samples, k)."""
    return np.sort(np.concatenate(sq_dist, axis=1), axis=1)[:, :k]


def first_copies(X: NDArray[np.float32], n: int) -> NDArray[np.bool_]:
    """Mark the first n copies of every distinct row : (n_samples,).

    Further copies would only find each other at distance 0, at the cost of their number squared.
    """
    rows = np.ascontiguousarray(X + np.float32(0))  # turns -0 into 0
    _, copy_of = np.unique(rows.view(np.dtype((np.void, rows.strides[0]))), return_inverse=True)
    copy_of = copy_of.ravel()
    order = np.argsort(copy_of, kind="stable")
    starts = np.searchsorted(copy_of[order], copy_of[order])
    is_first = np.empty(len(X), np.bool_)
    is_first[order] = np.arange(len(X)) - starts < n
    return is_first


def _of_rows(
    X: NDArray[np.float32],
    points: Centroids,
    k: int,
    own: NDArray[np.int64],
    within: NDArray[np.float64],
    buffers: Buffers,
) -> Neighbours:
    """Find the neighbours of at most ROWS rows."""
    # 1. the points that score within the error of the k-th best
    row, candidate = _candidates(X, points, k, own, within, buffers)
    # 2. exact distances decide among them
    pieces = (slice(i, i + _PAIRS) for i in range(0, len(row), _PAIRS))
    exact = [sq_distances(X[row[s]], points.vectors[candidate[s]]) for s in pieces]
    sq_dist = np.concatenate([*exact, np.empty(0)])
    order = np.lexsort((candidate, sq_dist, row))
    row, candidate, sq_dist = row[order], candidate[order], sq_dist[order]
    rank = np.arange(len(row)) - np.searchsorted(row, np.arange(len(X)))[row]
    is_near = rank < k
    at = row[is_near], rank[is_near]
    found = Neighbours(np.full((len(X), k), -1), np.full((len(X), k), np.inf))
    found.labels[at], found.sq_dist[at] = candidate[is_near], sq_dist[is_near]
    return found


def _candidates(
    X: NDArray[np.float32],
    points: Centroids,
    k: int,
    own: NDArray[np.int64],
    within: NDArray[np.float64],
    buffers: Buffers,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and points whose distances are to be computed : (n_pairs,) each."""
    slack = 2 * error_bound(X, points) if len(points.vectors) else np.zeros(len(X))
    # a score at the distance ``within``: s(x, c) = (|x|^2 - |x - c|^2) / 2
    least = (np.einsum("ij,ij->i", X, X, dtype=np.float64) - within) / 2
    lowest = np.nextafter(least.astype(np.float32), np.float32(-np.inf))
    best = np.repeat(lowest[:, None], k, axis=1)  # scores so far, ascending
    kept: list[tuple[NDArray[Any], ...]] = [(np.empty(0, int), np.empty(0, int), np.empty(0))]
    start = 0
    for scores in scores_of(X, points, buffers):
        mine = np.flatnonzero((own >= start) & (own < start + scores.shape[1]))
        scores[mine, own[mine] - start] = -np.inf
        # few rows find a better point in a later chunk
        some = np.flatnonzero(scores.max(axis=1) >= _below(best[:, 0] - slack))
        scores = scores[some] if len(some) < len(X) else scores
        best[some] = np.sort(np.hstack([best[some], _largest(scores, k)]), axis=1)[:, -k:]
        row, column = np.nonzero(scores >= _below(best[some, 0] - slack[some])[:, None])
        kept.append((some[row], column + start, scores[row, column]))
        start += scores.shape[1]
    row, candidate, score = (np.concatenate(each) for each in zip(*kept, strict=True))
    is_near = score >= _below(best[:, 0] - slack)[row]
    return row[is_near], candidate[is_near]


def _below(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round down, and no number to one that all scores but those left out reach."""
    lowest = np.finfo(np.float32).min
    return np.maximum(np.nextafter(numbers.astype(np.float32), np.float32(-np.inf)), lowest)


def _largest(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return every row's k largest scores, or all if there are fewer, in no order."""
    k = min(k, scores.shape[1])
    return np.asarray(np.partition(scores, -k, axis=1)[:, -k:])
