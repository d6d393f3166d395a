"""Nearest centroids: a float32 GEMM proposes, exact float64 distances decide.

The proposal for a row x is the c with the largest s(x, c) = x.c - |c|^2/2, computed as one GEMM
with the norms folded in as an extra column. In floating point, whatever the order of summation
and with or without fused multiply-add, |fl(s) - s| <= E(x) with

    E(x) = gamma * (|x| c_max + c_max^2 / 2),   gamma = (d + 4) u / (1 - (d + 4) u),  u = 2^-24

(Higham, Accuracy and Stability of Numerical Algorithms, section 3.1: an inner product of d + 1
terms, one of them rounded once beforehand). So the true nearest centroid scores at least
best - 2 E(x), and only rows with a second score that close are looked at again, exactly.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_UNIT_ROUNDOFF = 2.0**-24  # of float32
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
    def folded(self) -> NDArray[np.float32]:
        """The GEMM's right-hand side : (n_features + 1, n_clusters) float32."""
        return np.vstack([self.vectors.T, -self.half_sq_norms.astype(np.float32)])

    @cached_property
    def largest_norm(self) -> float:
        """c_max of the error bound."""
        return float(np.sqrt(2 * self.half_sq_norms.max()))


def sq_distances(X: NDArray[np.float32], C: NDArray[np.float32]) -> NDArray[np.float64]:
    """Exact squared distances row by row : (n, d), (n, d) -> (n,) float64."""
    difference = np.subtract(X, C, dtype=np.float64)
    exact: NDArray[np.float64] = np.einsum("ij,ij->i", difference, difference)
    return exact


def nearest_centroids(
    X: NDArray[np.float32], centroids: Centroids
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find every row's nearest centroid, exactly; ties go to the lowest index.

    Parameters
    ----------
    X : (n_samples, n_features) float32, grid coordinates
    centroids : of the same grid

    Returns
    -------
    labels : (n_samples,) int32
    sq_dist : (n_samples,) float64, exact, in squared grid units
    """
    n_samples, n_features = X.shape
    C = centroids.vectors
    if n_samples == 0:
        return np.empty(0, np.int32), np.empty(0, np.float64)
    left = np.ones((n_samples, n_features + 1), dtype=np.float32)
    left[:, :-1] = X
    scores = left @ centroids.folded  # (n_samples, n_clusters)
    rows = np.arange(n_samples)
    labels = scores.argmax(axis=1)
    threshold = scores[rows, labels] - 2 * _error_bound(X, centroids)
    scores[rows, labels] = -np.inf
    close = np.flatnonzero(scores.max(axis=1) >= threshold)
    sq_dist = sq_distances(X, C[labels])
    if len(close):
        rivals = scores[close] >= threshold[close, None]
        _settle_exactly(X, C, close, rivals, labels, sq_dist)
    return labels.astype(np.int32), sq_dist


def _error_bound(X: NDArray[np.float32], centroids: Centroids) -> NDArray[np.float64]:
    """E(x) of the module's docstring : (n_samples,) float64."""
    terms = (X.shape[1] + 4) * _UNIT_ROUNDOFF
    norms = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64))
    c_max = centroids.largest_norm
    # 1.001 covers the rounding of the bound and of the threshold themselves
    bound: NDArray[np.float64] = 1.001 * terms / (1 - terms) * (norms * c_max + 0.5 * c_max**2)
    return bound


def _settle_exactly(
    X: NDArray[np.float32],
    C: NDArray[np.float32],
    close: NDArray[np.intp],
    rivals: NDArray[np.bool_],
    labels: NDArray[np.intp],
    sq_dist: NDArray[np.float64],
) -> None:
    """Let every close rival compete by exact distance, ties to the lowest index; in place."""
    which, candidate = np.nonzero(rivals)
    row = close[which]
    rival_dist = np.concatenate(
        [
            sq_distances(X[row[s]], C[candidate[s]])
            for s in (slice(i, i + _PAIRS_AT_ONCE) for i in range(0, len(row), _PAIRS_AT_ONCE))
        ]
    )
    order = np.lexsort((candidate, rival_dist, row))
    first = order[np.r_[True, np.diff(row[order]) > 0]]  # each row's best rival
    row, candidate, rival_dist = row[first], candidate[first], rival_dist[first]
    wins = (rival_dist < sq_dist[row]) | ((rival_dist == sq_dist[row]) & (candidate < labels[row]))
    labels[row[wins]] = candidate[wins]
    sq_dist[row[wins]] = rival_dist[wins]
