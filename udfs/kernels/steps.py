"""The steps that k-means is made of: assign and sum, draw, count, keep, label, describe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.grid import join_limbs, split_limbs
from udfs.kernels.hashing import uniform
from udfs.kernels.memory import DistanceMemory, LabelMemory
from udfs.kernels.nearest import Centroids, NearestCentroids
from udfs.kernels.passes import Arrays, Smallest
from udfs.kernels.routing import NearestLeaves, Routing

Finder = Callable[
    [NDArray[np.int64], NDArray[np.float32]], tuple[NDArray[np.int32], NDArray[np.float64]]
]

N_FARTHEST = 64  # farthest points kept for reseeding empty clusters, per pass


@dataclass(frozen=True, eq=False)
class AssignAndSum:
    """Assign every point to its nearest centroid; sum counts, vectors and the objective.

    With a memory, only points whose label has changed since the last pass are added anew.

    Result: ``labels`` (t,) the clusters with members, ``counts`` (t,) int64, ``sums`` (t, d)
    float64 (exact), ``objective`` (2,) int64 limbs.
    """

    centroids: Centroids
    memory: LabelMemory | None = None

    def begin(self) -> "_AssignAndSumPass":
        """Start one task's share."""
        return _AssignAndSumPass(self)

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
            "objective": np.array([objective >> 26, objective & (2**26 - 1)]),
        }


class _AssignAndSumPass:
    def __init__(self, step: AssignAndSum) -> None:
        k, d = step.centroids.vectors.shape
        self.nearest = NearestCentroids(step.centroids)
        self.memory = step.memory
        self.sums_afresh = step.memory is None or step.memory.totals is None
        self.n_changed = 0
        self.counts = np.zeros(k, np.int64)
        self.sums = np.zeros((k, d))
        self.rows = list(self.sums)  # views
        self.is_touched = np.zeros(k, bool)
        self.sq_norms = np.zeros(2, np.int64)

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        labels = self.nearest.labels(X)
        old = np.full_like(labels, -1)
        if self.memory is not None:
            old = self.memory.labels.get(int(where[0]), old)
            self.memory.labels[int(where[0])] = labels
        changed = np.flatnonzero(labels != old)
        self.n_changed += len(changed)
        if self.sums_afresh:
            wide = X.astype(np.float64)
            self._sum(labels, wide, np.add)
            sq_norms = np.einsum("ij,ij->i", wide, wide)
            self.sq_norms += [limb.sum() for limb in split_limbs(sq_norms)]
        else:
            wide = X[changed].astype(np.float64)
            self._sum(old[changed], wide, np.subtract)
            self._sum(labels[changed], wide, np.add)

    def _sum(self, labels: NDArray[np.int32], X: NDArray[np.float64], apply: np.ufunc) -> None:
        count = np.bincount(labels, minlength=len(self.counts))
        apply(self.counts, count, out=self.counts)
        self.is_touched[labels] = True
        # one addition a row: .8 us at d=256, against 2 us for sorting and reduceat
        rows = self.rows
        for label, x in zip(labels.tolist(), X, strict=True):
            apply(rows[label], x, rows[label])

    def result(self) -> Arrays:
        touched = np.flatnonzero(self.is_touched)
        return {
            "labels": touched,
            "counts": self.counts[touched],
            "sums": self.sums[touched],
            "sq_norms": self.sq_norms,
            "n_changed": np.array([self.n_changed]),
        }


def sq_norms_saved(
    C: NDArray[np.float32], counts: NDArray[np.int64], sums: NDArray[np.float64]
) -> int:
    """Give sum |x|^2 - sum |x - c|^2 = 2 sum c.s - sum n |c|^2, exactly, from clusters' sums.

    Parameters
    ----------
    C : (k, n_features) float32 grid coordinates
    counts, sums : (k,) n and (k, n_features) s of the points at each centroid
    """
    whole = C.astype(np.int64)
    high = np.floor(sums * 2.0**-20).astype(np.int64)
    low = sums.astype(np.int64) - (high << 20)
    sq_norms = np.einsum("ij,ij->i", whole, whole)
    products = (  # limbs so small that each row's sum stays below 2^63
        (2 << 20, np.einsum("ij,ij->i", whole, high)),
        (2, np.einsum("ij,ij->i", whole, low)),
        (-(1 << 26), counts * (sq_norms >> 26)),
        (-1, counts * (sq_norms & (2**26 - 1))),
    )
    return sum(
        factor * ((int((p >> 26).sum()) << 26) + int((p & (2**26 - 1)).sum()))
        for factor, p in products
    )


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
    """Give a function from points to their nearest centroids, with the help of a memory."""
    if memory is None:
        nearest = NearestCentroids(centroids)
        return lambda where, X: nearest(X)
    return partial(memory.nearest, finder=memory.finder())


@dataclass(frozen=True, eq=False)
class ClosestMembers:
    """Find each cluster's ``n_closest`` members, by (distance, position).

    Result: ``labels`` (m,) int32, ``sq_dist`` (m,) float64, ``positions`` (m,) int64.
    """

    centroids: Centroids
    n_closest: int

    def begin(self) -> "_LabelPointsPass":
        """Start one task's share."""
        return _LabelPointsPass(NearestCentroids(self.centroids), self.n_closest)

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Keep the closest of the closest."""
        return _closest(_concatenate(parts), self.n_closest)


@dataclass(frozen=True, eq=False)
class LabelPoints:
    """Label every point; for inputs that fit the driver. With a routing, by way of the cells.

    Result, in order of position: ``labels`` (n,), ``sq_dist`` (n,), ``positions`` (n,).
    """

    centroids: Centroids
    routing: Routing | None = None

    def begin(self) -> "_LabelPointsPass":
        """Start one task's share."""
        finder = NearestLeaves(self.routing) if self.routing else NearestCentroids(self.centroids)
        return _LabelPointsPass(finder, None)

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Put the points in order."""
        joined = _concatenate(parts)
        order = np.argsort(joined["positions"])
        return {name: array[order] for name, array in joined.items()}


class _LabelPointsPass:
    def __init__(self, nearest: NearestCentroids | NearestLeaves, n_closest: int | None) -> None:
        self.nearest = nearest
        self.n_closest = n_closest
        empty: Arrays = {
            "labels": np.empty(0, np.int32),
            "sq_dist": np.empty(0, np.float64),
            "positions": np.empty(0, np.int64),
        }
        self.parts: list[Arrays] = [empty]

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        labels, sq_dist = self.nearest(X)
        self.parts.append({"labels": labels, "sq_dist": sq_dist, "positions": where})

    def result(self) -> Arrays:
        joined = _concatenate(self.parts)
        return joined if self.n_closest is None else _closest(joined, self.n_closest)


@dataclass(frozen=True, eq=False)
class DescribeClusters:
    """Count each cluster's points, sum their squared distances and find the largest.

    Result: ``counts`` (k,) int64, ``inertia`` (k, 2) int64 limbs, ``sq_radius`` (k,) float64.
    """

    centroids: Centroids

    def begin(self) -> "_DescribeClustersPass":
        """Start one task's share."""
        return _DescribeClustersPass(self)

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Add up counts and inertia, take the largest radius."""
        return {
            "counts": np.sum([p["counts"] for p in parts], axis=0),
            "inertia": np.sum([p["inertia"] for p in parts], axis=0),
            "sq_radius": np.max([p["sq_radius"] for p in parts], axis=0),
        }


class _DescribeClustersPass:
    def __init__(self, step: DescribeClusters) -> None:
        k = len(step.centroids.vectors)
        self.nearest = NearestCentroids(step.centroids)
        self.counts = np.zeros(k, np.int64)
        self.inertia = np.zeros((k, 2), np.int64)
        self.sq_radius = np.zeros(k)

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        labels, sq_dist = self.nearest(X)
        np.add.at(self.counts, labels, 1)
        np.add.at(self.inertia, labels, np.column_stack(split_limbs(sq_dist)))
        np.maximum.at(self.sq_radius, labels, sq_dist)

    def result(self) -> Arrays:
        return {"counts": self.counts, "inertia": self.inertia, "sq_radius": self.sq_radius}


def _concatenate(parts: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _closest(points: Arrays, n_closest: int) -> Arrays:
    """Keep each label's n_closest points by (sq_dist, position)."""
    order = np.lexsort((points["positions"], points["sq_dist"], points["labels"]))
    labels = points["labels"][order]
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]]) if len(labels) else labels
    rank = np.arange(len(labels)) - np.repeat(starts, np.diff(np.r_[starts, len(labels)]))
    kept = order[rank < n_closest]
    return {name: array[kept] for name, array in points.items()}
