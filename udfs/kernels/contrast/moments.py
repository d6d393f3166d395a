"""Moments of two views by cluster, exact: what a linear contrastive encoder is made of.

A view is a row of whole numbers of length at most 4096 (``kernels.joint.dots``). Of a point's views
a and b, the sum u and the difference v hold all that is needed: the sums over points of aa' + bb'
and of ab' + ba' are (P + M) / 2 and (P - M) / 2, P the sum of uu' and M of vv'. Each is one product
of a matrix with itself, for which BLAS computes one half. Lengths of u and v are at most 2^13, so
an entry of P or M is at most 2^26 per point: float64 adds up 2^27 points without rounding, in any
order, and int64 2^37.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.passes.step import Arrays

Integers = NDArray[np.int64]
VIEW_LENGTH = 4096
_MOST_POINTS = 2**27 - 2**20  # added up in float64 before its sums move on to int64


class Moments(NamedTuple):
    """Moments of one cluster.

    Attributes
    ----------
    n : points
    sums : (n_features,) int64, of u
    plus, minus : (n_features, n_features) int64, of uu' and vv'
    """

    n: int
    sums: Integers
    plus: Integers
    minus: Integers

    def arrays(self) -> Arrays:
        """Return them as arrays by name."""
        return {name: np.asarray(value) for name, value in self._asdict().items()}

    @classmethod
    def of(cls, arrays: Arrays) -> "Moments":
        """Return moments from their arrays."""
        return cls(int(arrays["n"]), arrays["sums"], arrays["plus"], arrays["minus"])


class MomentSums:
    """Moments of all clusters, added up batch by batch in one pass."""

    def __init__(self, n_clusters: int, n_features: int) -> None:
        self.n = np.zeros(n_clusters, np.int64)
        self.sums = np.zeros((n_clusters, n_features), np.int64)
        self._squares = np.zeros((n_clusters, 2, n_features, n_features))
        self._carried = np.zeros((), np.int64)  # sums that have moved on from float64
        self._n_held = 0

    def add(
        self, a: NDArray[np.number], b: NDArray[np.number], labels: NDArray[np.integer]
    ) -> None:
        """Add points : (n, n_features) views, (n,) clusters."""
        if self._n_held + len(a) > _MOST_POINTS:
            self._carried = self._carried + self._squares.astype(np.int64)
            self._squares[:] = 0
            self._n_held = 0
        self._n_held += len(a)
        order = np.argsort(labels, kind="stable")
        edges = np.searchsorted(labels[order], np.arange(len(self.n) + 1))
        left, right = (view[order].astype(np.float64) for view in (a, b))
        for k in range(len(self.n)):
            mine = slice(edges[k], edges[k + 1])
            u, v = left[mine] + right[mine], left[mine] - right[mine]
            self.n[k] += len(u)
            self.sums[k] += u.sum(axis=0).astype(np.int64)
            self._squares[k, 0] += u.T @ u
            self._squares[k, 1] += v.T @ v

    def result(self) -> list[Moments]:
        """Return the moments of each cluster."""
        squares = self._carried + self._squares.astype(np.int64)
        return [
            Moments(int(n), sums, plus, minus)
            for n, sums, (plus, minus) in zip(self.n, self.sums, squares, strict=True)
        ]


def total(parts: Sequence[Moments]) -> Moments:
    """Return the moments of several clusters as those of one."""
    return Moments(
        sum(part.n for part in parts),
        *(np.sum(each, axis=0) for each in [*zip(*parts, strict=True)][1:]),
    )
