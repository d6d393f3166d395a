"""Better optima for small problems: centroids are added where error is, removed where none is.

Fritzke, "The breathing k-means algorithm" (arXiv 2006.15666): add m centroids in the clusters of
largest inertia, run Lloyd, remove the m whose removal costs least, run Lloyd again; keep the result
if inertia fell, else go on with a smaller m. Here a new centroid is a member of its cluster, drawn
with probability in proportion to its squared distance.

Upper levels need it: with 100 clusters for 100 planted groups of centroids, k-means++ and Lloyd
leave about ten groups without a node of their own, and every sample drawn from that tree short of
them (KL .12-.22 on the grouped mixture; .002 with breathing).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.grid import join_limbs, order_of_limbs, split_limbs
from udfs.kernels.hashing import derive_seed, uniform
from udfs.kernels.iterations import Iteration, KMeansParams, OnIteration
from udfs.kernels.kmeans import lloyd
from udfs.kernels.nearest import Centroids
from udfs.kernels.passes import Arrays
from udfs.kernels.sources import BlockSource

FIRST_BREATH = 0.2  # of the centroids
MIN_GAIN = 1e-3  # of the inertia, that a breath must bring; also the tolerance of its Lloyd runs
MAX_WORK = 5e7  # n_rows * n_clusters: beyond, a breath takes minutes


def breathe(
    source: BlockSource,
    C: NDArray[np.float32],
    params: KMeansParams,
    *,
    seed: int,
    on_iteration: OnIteration = lambda iteration: None,
) -> NDArray[np.float32]:
    """Improve the centroids that Lloyd ended with.

    Returns
    -------
    centroids : (n_clusters, n_features) float32, of no larger inertia
    """
    params = replace(params, tol=max(params.tol, MIN_GAIN))
    best = source.reduce(LookAround(Centroids(C), derive_seed(seed, 0)))
    n_moved = max(1, round(FIRST_BREATH * len(C)))
    breath = 0
    while n_moved:
        breath += 1
        began = time.perf_counter()
        # 1. breathe in: add a member of each of the worst clusters
        worst = order_of_limbs(best["inertia"])[::-1][:n_moved]
        worst = worst[np.isfinite(best["keys"][worst])]
        if len(worst) == 0:  # every point is a centroid
            break
        grown = lloyd(source, np.concatenate([C, best["rows"][worst]]), params)
        # 2. breathe out: remove as many, those that are missed least
        useful = source.reduce(LookAround(Centroids(grown)))["utility"]
        shrunk = lloyd(
            source, np.delete(grown, _dispensable(grown, useful, len(worst)), axis=0), params
        )
        after = source.reduce(LookAround(Centroids(shrunk), derive_seed(seed, breath)))
        # 3. keep what is better
        gained = _total(after) < (1 - MIN_GAIN) * _total(best)
        if gained:
            C, best = shrunk, after
        seconds = time.perf_counter() - began
        moved = len(worst) / len(C) if gained else 0.0
        on_iteration(
            Iteration(breath - 1, "breathing", source.n_rows, _total(best), moved, 0, seconds)
        )
        if not gained:
            n_moved //= 2
    return C


def _total(around: Arrays) -> int:
    return join_limbs(around["inertia"].sum(axis=0))


def _dispensable(C: NDArray[np.float32], utility: NDArray[np.int64], n_removed: int) -> list[int]:
    """Choose the least useful centroids, no two of which stand in for each other."""
    wide = C.astype(np.float64)
    sq_norms = np.einsum("ij,ij->i", wide, wide)
    between = sq_norms[:, None] - 2 * (wide @ wide.T) + sq_norms
    np.fill_diagonal(between, np.inf)
    neighbour = between.argmin(axis=1)
    needed = np.zeros(len(C), bool)
    removed: list[int] = []
    for j in order_of_limbs(utility):
        if len(removed) < n_removed and not needed[j]:
            removed.append(int(j))
            needed[neighbour[j]] = True
    return removed


@dataclass(frozen=True, eq=False)
class LookAround:
    """See what each cluster costs, what it saves, and where it could be split.

    Result: ``inertia`` and ``utility`` (k, 2) int64 limbs, utility being by how much inertia would
    grow without the centroid; ``keys`` (k,) float64 and ``rows`` (k, d), a member drawn with
    probability in proportion to its squared distance (infinite key: all are at the centroid).
    """

    centroids: Centroids
    seed: int = 0

    def begin(self) -> "_LookAroundPass":
        """Start one task's share."""
        return _LookAroundPass(self)

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Add up, and keep the first draw."""
        merged = {
            name: np.sum([part[name] for part in parts], axis=0) for name in ("inertia", "utility")
        }
        keys = np.stack([part["keys"] for part in parts])
        where = np.stack([part["positions"] for part in parts])
        first = np.lexsort((where, keys), axis=0)[0]
        k = np.arange(keys.shape[1])
        rows = np.stack([part["rows"] for part in parts])[first, k]
        return merged | {"keys": keys[first, k], "positions": where[first, k], "rows": rows}


class _LookAroundPass:
    def __init__(self, step: LookAround) -> None:
        C = step.centroids.vectors.astype(np.float64)
        k = len(C)
        self.seed = step.seed
        self.C = C
        self.sq_norms = np.einsum("ij,ij->i", C, C)
        self.inertia, self.utility = np.zeros((2, k, 2), np.int64)
        self.keys = np.full(k, np.inf)
        self.positions = np.full(k, np.iinfo(np.int64).max)
        self.rows = np.zeros(step.centroids.vectors.shape, np.float32)

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        wide = X.astype(np.float64)
        sq_dist = wide @ self.C.T  # (m, k), exact: whole numbers below 2^53
        sq_dist *= -2
        sq_dist += self.sq_norms
        sq_dist += np.einsum("ij,ij->i", wide, wide)[:, None]
        rows = np.arange(len(X))
        labels = sq_dist.argmin(axis=1)
        nearest = sq_dist[rows, labels]
        sq_dist[rows, labels] = np.inf
        second = sq_dist.min(axis=1) if len(self.C) > 1 else nearest
        np.add.at(self.inertia, labels, split_limbs(nearest))
        np.add.at(self.utility, labels, split_limbs(second - nearest))
        keys = np.full(len(X), np.inf)
        np.divide(uniform(self.seed, where), nearest, out=keys, where=nearest > 0)
        order = np.lexsort((where, keys, labels))
        present, starts = np.unique(labels[order], return_index=True)
        first = order[starts]
        better = (keys[first] < self.keys[present]) | (
            (keys[first] == self.keys[present]) & (where[first] < self.positions[present])
        )
        better &= np.isfinite(keys[first])
        present, first = present[better], first[better]
        self.keys[present], self.positions[present] = keys[first], where[first]
        self.rows[present] = X[first]

    def result(self) -> Arrays:
        return {
            "inertia": self.inertia,
            "utility": self.utility,
            "keys": self.keys,
            "positions": self.positions,
            "rows": self.rows,
        }
