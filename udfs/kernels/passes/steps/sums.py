"""Steps of k-means iterations: clusters' sums, and points for clusters that have none."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.grid import LIMB_BITS, exact_sum, join_limbs, limbs_of, split_limbs
from udfs.kernels.exact.memory import LabelMemory
from udfs.kernels.exact.nearest import Centroids, NearestCentroids
from udfs.kernels.passes.cluster_sums import ClusterSums
from udfs.kernels.passes.step import Arrays, Smallest

_PER_CLUSTER = ("labels", "counts", "sums")
_OF_ALL = ("sq_norms", "n_changed")
N_FARTHEST = 64  # farthest points kept for reseeding empty clusters, per pass


@dataclass(frozen=True, eq=False)
class AssignAndSum:
    """Assign every point to its nearest centroid; sum counts, vectors and the objective.

    With a memory, only points whose label has changed since the last pass are added again.

    Result: ``labels`` (t,) the clusters with members, ``counts`` (t,) int64, ``sums`` (t, d)
    float64 (exact), ``objective`` (2,) int64 limbs.
    """

    centroids: Centroids
    memory: LabelMemory | None = None

    def begin(self) -> "_AssignAndSumPass":
        """Start one task's share."""
        return _AssignAndSumPass(self)

    @property
    def n_clusters(self) -> int:
        """Number of clusters that points are summed into."""
        return len(self.centroids.vectors)

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Add up; the objective follows from the sums."""
        k, d = self.centroids.vectors.shape
        totals = self.memory.totals if self.memory else None
        counts, sums, sq_norms = totals or (np.zeros(k, np.int64), np.zeros((k, d)), 0)
        for part in parts:
            counts[part["labels"]] += part["counts"]
            sums[part["labels"]] += part["sums"]
            sq_norms += join_limbs(part["sq_norms"])
        if self.memory:
            self.memory.keep(counts, sums, sq_norms, sum(int(p["n_changed"][0]) for p in parts))
        objective = sq_norms - sq_norms_saved(self.centroids.vectors, counts, sums)
        labels = np.flatnonzero(counts)
        return {
            "labels": labels,
            "counts": counts[labels],
            "sums": sums[labels],
            "objective": limbs_of(objective),
        }


class _AssignAndSumPass:
    def __init__(self, step: AssignAndSum) -> None:
        self.nearest = NearestCentroids(step.centroids)
        self.memory = step.memory
        self.sums_afresh = step.memory is None or step.memory.totals is None
        self.n_changed = 0
        self.clusters = ClusterSums(*step.centroids.vectors.shape)
        self.sq_norms = np.zeros(2, np.int64)

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        labels = self.nearest.labels(X)
        old = self.memory.exchange(int(where[0]), labels) if self.memory else None
        changed = labels != (-1 if old is None else old)
        self.n_changed += int(np.count_nonzero(changed))
        clusters = self.clusters
        if old is None or self.sums_afresh:
            wide = clusters.widened(X)
            clusters.apply(np.add, labels)
            self.sq_norms += split_limbs(np.einsum("ij,ij->i", wide, wide)).sum(axis=0)
        else:
            clusters.widened(X[changed])
            clusters.apply(np.subtract, old[changed])
            clusters.apply(np.add, labels[changed])

    def result(self) -> Arrays:
        touched = np.flatnonzero(self.clusters.is_touched)
        return {
            "labels": touched,
            "counts": self.clusters.counts[touched],
            "sums": self.clusters.sums[touched],
            "sq_norms": self.sq_norms,
            "n_changed": np.array([self.n_changed]),
        }


def divided(part: Arrays, starts: NDArray[np.int64]) -> list[Arrays]:
    """Cut a task's sums into ranges of clusters, so that each can be added up elsewhere.

    Totals that belong to no cluster stay with the first range.

    Parameters
    ----------
    starts : (n_ranges,) the first cluster of each
    """
    edges = np.append(np.searchsorted(part["labels"], starts), len(part["labels"]))
    of_all = {name: part[name] for name in _OF_ALL}
    ranges = []
    for a, b in pairwise(edges.tolist()):
        ranges.append(of_all | {name: part[name][a:b] for name in _PER_CLUSTER})
        of_all = {name: np.zeros_like(value) for name, value in of_all.items()}
    return ranges


def added(parts: Sequence[Arrays]) -> Arrays:
    """Add up several tasks' sums, of any clusters, as if of one task."""
    total = {name: np.sum([part[name] for part in parts], axis=0) for name in _OF_ALL}
    labels = np.unique(np.concatenate([part["labels"] for part in parts]))
    counts = np.zeros(len(labels), np.int64)
    sums = np.zeros((len(labels), parts[0]["sums"].shape[1]))
    for part in parts:
        place = np.searchsorted(labels, part["labels"])
        counts[place] += part["counts"]
        sums[place] += part["sums"]
    return total | {"labels": labels, "counts": counts, "sums": sums}


def sq_norms_saved(
    C: NDArray[np.float32], counts: NDArray[np.int64], sums: NDArray[np.float64]
) -> int:
    """Return sum |x|^2 - sum |x - c|^2 = 2 sum c.s - sum n |c|^2, exactly, from clusters' sums.

    Parameters
    ----------
    C : (k, n_features) float32 grid coordinates
    counts, sums : (k,) n and (k, n_features) s of the points at each centroid
    """
    whole = C.astype(np.int64)
    high = np.floor(sums * 2.0**-20).astype(np.int64)
    low = sums.astype(np.int64) - (high << 20)
    sq_norms = np.einsum("ij,ij->i", whole, whole)
    products = (  # parts so small that each row's sum stays below 2^63
        (2 << 20, np.einsum("ij,ij->i", whole, high)),
        (2, np.einsum("ij,ij->i", whole, low)),
        (-(1 << LIMB_BITS), counts * (sq_norms >> LIMB_BITS)),
        (-1, counts * (sq_norms & (2**LIMB_BITS - 1))),
    )
    return sum(factor * exact_sum(product) for factor, product in products)


@dataclass(frozen=True, eq=False)
class FarthestPoints:
    """Find the points farthest from their centroids, for clusters that have none.

    Result: ``far_keys`` (f,) float64 = -sq_dist, ``far_positions`` (f,), ``far_rows`` (f, d).
    """

    centroids: Centroids

    def begin(self) -> "_FarthestPointsPass":
        """Start one task's share."""
        return _FarthestPointsPass(self.centroids)

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Keep the farthest of the farthest."""
        farthest = Smallest(N_FARTHEST, self.centroids.vectors.shape[1])
        for part in parts:
            farthest.offer(part["far_keys"], part["far_positions"], part["far_rows"])
        return farthest.arrays("far")


class _FarthestPointsPass:
    def __init__(self, centroids: Centroids) -> None:
        self.nearest = NearestCentroids(centroids)
        self.farthest = Smallest(N_FARTHEST, centroids.vectors.shape[1])

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        _, sq_dist = self.nearest(X)
        self.farthest.offer(-sq_dist, where, X)

    def result(self) -> Arrays:
        return self.farthest.arrays("far")
