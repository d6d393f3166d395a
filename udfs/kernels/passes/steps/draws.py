"""Steps of the start: draw candidates by distance, and count the points nearest to each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.hashing import uniform
from udfs.kernels.exact.memory import DistanceMemory
from udfs.kernels.exact.nearest import Centroids, NearestCentroids
from udfs.kernels.passes.step import Arrays, Smallest

Finder = Callable[
    [NDArray[np.int64], NDArray[np.float32]], tuple[NDArray[np.int32], NDArray[np.float64]]
]


@dataclass(frozen=True, eq=False)
class DrawCandidates:
    """Draw points with probability in proportion to their squared distance to the centroids.

    Sequential Poisson sampling (Ohlsson 1998): the ``n_draws`` smallest u / sq_dist, u uniform by
    position. One pass, exactly that many points, and only divisions: the same on every CPU. With no
    centroid yet every point weighs the same.

    Result: ``draw_keys`` (b,), ``draw_positions`` (b,), ``draw_rows`` (b, d).
    """

    centroids: Centroids
    n_draws: int
    seed: int
    memory: DistanceMemory | None = None

    def begin(self) -> "_DrawCandidatesPass":
        """Start one task's share."""
        return _DrawCandidatesPass(self)

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Keep the smallest keys of all."""
        smallest = Smallest(self.n_draws, self.centroids.vectors.shape[1])
        for part in parts:
            smallest.offer(part["draw_keys"], part["draw_positions"], part["draw_rows"])
        return smallest.arrays("draw")


class _DrawCandidatesPass:
    def __init__(self, step: DrawCandidates) -> None:
        self.step = step
        self.nearest = _finder(step.centroids, step.memory)
        self.smallest = Smallest(step.n_draws, step.centroids.vectors.shape[1])

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        keys = uniform(self.step.seed, where)
        if len(self.step.centroids.vectors):
            _, sq_dist = self.nearest(where, X)
            apart = sq_dist > 0
            keys = np.divide(keys, sq_dist, out=np.full_like(keys, np.inf), where=apart)
        self.smallest.offer(keys, where, X)

    def result(self) -> Arrays:
        return self.smallest.arrays("draw")


@dataclass(frozen=True, eq=False)
class CountMembers:
    """Count the points nearest to each centroid.

    Result: ``counts`` (k,) int64.
    """

    centroids: Centroids
    memory: DistanceMemory | None = None

    def begin(self) -> "_CountMembersPass":
        """Start one task's share."""
        return _CountMembersPass(self)

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Add up."""
        return {"counts": np.sum([part["counts"] for part in parts], axis=0)}


class _CountMembersPass:
    def __init__(self, step: CountMembers) -> None:
        self.nearest = _finder(step.centroids, step.memory)
        self.counts = np.zeros(len(step.centroids.vectors), np.int64)

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        labels, _ = self.nearest(where, X)
        self.counts += np.bincount(labels, minlength=len(self.counts))

    def result(self) -> Arrays:
        return {"counts": self.counts}


def _finder(centroids: Centroids, memory: DistanceMemory | None) -> Finder:
    """Return a function from points to their nearest centroids, using a memory if given."""
    if memory is None:
        nearest = NearestCentroids(centroids)
        return lambda where, X: nearest(X)
    return partial(memory.nearest, finder=memory.finder())
