"""Nearest centroids: a float32 GEMM proposes, exact float64 distances decide.

The proposal for a row x is the c with the largest s(x, c) = x.c - |c|^2/2, computed as one GEMM
with the norms folded in as an extra column. In floating point, whatever the order of summation
and with or without fused multiply-add, |fl(s) - s| <= E(x) with

    E(x) = gamma * (|x| c_max + c_max^2 / 2),   gamma = (d + 4) u / (1 - (d + 4) u),  u = 2^-24

(Higham, Accuracy and Stability of Numerical Algorithms, section 3.1: an inner product of d + 1
terms, one of them rounded once beforehand). So the true nearest centroid scores at least
best - 2 E(x), and only rows with a second score that close are checked again, exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_UNIT_ROUNDOFF = 2.0**-24  # of float32
RUN_ROWS = 640  # rows per GEMM: larger ones gain nothing, and their scores leave the cache
CHUNK = 2000  # centroids per GEMM, likewise
_PAIRS_AT_ONCE = 1 << 14  # (row, centroid) pairs re-scored together: bounds memory when many tie


@dataclass(frozen=True, eq=False)
class Centroids:
    """Centroids with what the kernel derives from them once per pass.

    Attributes
    ----------
    vectors : (n_clusters, n_features) float32, grid coordinates
    """

    vectors: NDArray[np.float32]

    @cached_property
    def half_sq_norms(self) -> NDArray[np.float64]:
        """|c|^2 / 2, exact : (n_clusters,) float64."""
        sq_norms: NDArray[np.float64] = np.einsum(
            "ij,ij->i", self.vectors, self.vectors, dtype=np.float64
        )
        return 0.5 * sq_norms

    @cached_property
    def folded(self) -> list[NDArray[np.float32]]:
        """The GEMM's right-hand sides : (n_features + 1, <= CHUNK) float32 each."""
        norms = -self.half_sq_norms.astype(np.float32)
        chunks = (slice(i, i + CHUNK) for i in range(0, len(self.vectors), CHUNK))
        return [np.vstack([self.vectors[s].T, norms[s]]) for s in chunks]

    @cached_property
    def largest_norm(self) -> float:
        """c_max of the error bound."""
        return float(np.sqrt(2 * self.half_sq_norms.max()))


def sq_distances(X: NDArray[np.float32], C: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return exact squared distances row by row : (n, d), (n, d) -> (n,) float64."""
    difference = np.subtract(X, C, dtype=np.float64)
    exact: NDArray[np.float64] = np.einsum("ij,ij->i", difference, difference)
    return exact


def nearest_centroids(
    X: NDArray[np.float32], centroids: Centroids
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find every row's nearest centroid once : (n, d); see ``NearestCentroids``."""
    return NearestCentroids(centroids)(X)


class Buffers:
    """Reusable arrays for finders, one after the other; for one task and thread.

    Allocating large arrays each time costs up to a third of a GEMM. All vectors have one length.
    """

    def __init__(self) -> None:
        self._left = np.empty((0, 0), np.float32)
        self._scores = np.empty(0, np.float32)
        self._gathered = np.empty((0, 0), np.float32)
        self._difference = np.empty((0, 0), np.float64)

    def left(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the GEMM's left-hand side, X and a column of ones : (n, d) -> (n, d + 1)."""
        if len(self._left) < len(X):
            self._left = np.ones((len(X), X.shape[1] + 1), np.float32)
        left = self._left[: len(X)]
        left[:, :-1] = X
        return left

    def scores(self, n_rows: int, n_columns: int) -> NDArray[np.float32]:
        """Return room for a GEMM's result."""
        if len(self._scores) < n_rows * n_columns:
            self._scores = np.empty(n_rows * n_columns, np.float32)
        return self._scores[: n_rows * n_columns].reshape(n_rows, n_columns)

    def sq_distances(
        self, X: NDArray[np.float32], C: NDArray[np.float32], labels: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return ``sq_distances(X, C[labels])`` : (n, d), (k, d), (n,) -> (n,) float64."""
        if len(self._gathered) < len(X):
            self._gathered = np.empty(X.shape, np.float32)
            self._difference = np.empty(X.shape)
        gathered, difference = self._gathered[: len(X)], self._difference[: len(X)]
        np.take(C, labels, axis=0, out=gathered, mode="clip")
        np.subtract(X, gathered, out=difference, dtype=np.float64)
        exact: NDArray[np.float64] = np.einsum("ij,ij->i", difference, difference)
        return exact


def scores_of(
    X: NDArray[np.float32], centroids: Centroids, buffers: Buffers
) -> Iterator[NDArray[np.float32]]:
    """Yield s(x, c) by GEMM, chunk by chunk : (n_samples, <= CHUNK), overwritten by the next."""
    left = buffers.left(X)
    for chunk in centroids.folded:
        yield np.matmul(left, chunk, out=buffers.scores(len(X), chunk.shape[1]))


def error_bound(X: NDArray[np.float32], centroids: Centroids) -> NDArray[np.float64]:
    """Return E(x) of the module's docstring : (n_samples,) float64."""
    terms = (X.shape[1] + 4) * _UNIT_ROUNDOFF
    gamma = terms / (1 - terms)
    norms = np.sqrt(np.einsum("ij,ij->i", X, X), dtype=np.float64) * (1 + gamma)
    c_max = centroids.largest_norm
    # 1.001 covers the rounding of the bound and of the threshold themselves
    bound: NDArray[np.float64] = 1.001 * gamma * (norms * c_max + 0.5 * c_max**2)
    return bound


class NearestCentroids:
    """Finds nearest centroids, exactly, for block after block; one per task and thread."""

    def __init__(self, centroids: Centroids, buffers: Buffers | None = None) -> None:
        self.centroids = centroids
        self._buffers = buffers or Buffers()

    def __call__(self, X: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Find every row's nearest centroid; ties go to the lowest index.

        Parameters
        ----------
        X : (n_samples, n_features) float32, grid coordinates

        Returns
        -------
        labels : (n_samples,) int32
        sq_dist : (n_samples,) float64, exact, in squared grid units
        """
        labels, sq_dist = np.empty(len(X), np.int32), np.empty(len(X))
        for start in range(0, len(X), RUN_ROWS):
            run = slice(start, start + RUN_ROWS)
            found = self._find(X[run])
            C = self.centroids.vectors
            labels[run], sq_dist[run] = found, self._buffers.sq_distances(X[run], C, found)
        return labels, sq_dist

    def labels(self, X: NDArray[np.float32]) -> NDArray[np.int32]:
        """Find every row's nearest centroid, without the distance : (n_samples,) int32."""
        labels = np.empty(len(X), np.int32)
        for start in range(0, len(X), RUN_ROWS):
            labels[start : start + RUN_ROWS] = self._find(X[start : start + RUN_ROWS])
        return labels

    def _find(self, X: NDArray[np.float32]) -> NDArray[np.intp]:
        """Find the labels of at most RUN_ROWS rows."""
        # 1. each chunk's best centroid, and any others within the error of it
        slack = 2 * error_bound(X, self.centroids)
        best = np.full(len(X), -np.inf, np.float32)
        rows = np.arange(len(X))
        tops, winners, rivals = [], [], []
        for number, scores in enumerate(scores_of(X, self.centroids, self._buffers)):
            winner = scores.argmax(axis=1)
            top = scores[rows, winner]
            np.maximum(best, top, out=best)
            scores[rows, winner] = -np.inf
            close = np.flatnonzero(scores.max(axis=1) >= best - slack)
            if len(close):
                which, candidate = np.nonzero(scores[close] >= (best - slack)[close, None])
                rivals.append((close[which], candidate + number * CHUNK))
            tops.append(top)
            winners.append(winner + number * CHUNK)
        # 2. the best of the chunks
        labels: NDArray[np.intp] = winners[0]
        if len(tops) > 1:
            first = np.argmax(tops, axis=0)  # (n_samples,), the chunk
            labels = np.stack(winners)[first, rows]
            near = np.stack(tops) >= best - slack
            near[first, rows] = False
            chunk, row = np.nonzero(near)
            rivals.append((row, np.stack(winners)[chunk, row]))
        # 3. exact distances decide among those within the error
        if any(len(row) for row, _ in rivals):
            row, candidate = (np.concatenate(part) for part in zip(*rivals, strict=True))
            settle_exactly(X, self.centroids.vectors, row, candidate, labels)
        return labels


def settle_exactly(
    X: NDArray[np.float32],
    C: NDArray[np.float32],
    row: NDArray[np.intp],
    candidate: NDArray[np.intp],
    labels: NDArray[np.intp],
) -> None:
    """Compare rivals with the labels by exact distance, ties to the lowest index; in place.

    Parameters
    ----------
    X, C : (n_samples, n_features), (n_clusters, n_features) float32, grid coordinates
    row, candidate : (n_pairs,) the rivals: a row, and a centroid that may be nearer than its label
    labels : (n_samples,), changed
    """
    contested = np.unique(row)
    row = np.concatenate([row, contested])
    candidate = np.concatenate([candidate, labels[contested]])
    pieces = (slice(i, i + _PAIRS_AT_ONCE) for i in range(0, len(row), _PAIRS_AT_ONCE))
    sq_dist = np.concatenate([sq_distances(X[row[s]], C[candidate[s]]) for s in pieces])
    order = np.lexsort((candidate, sq_dist, row))
    first = order[np.r_[True, np.diff(row[order]) > 0]]  # the best of each row
    labels[row[first]] = candidate[first]
