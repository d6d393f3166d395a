"""Steps over finished clusters: their members, the closest of them, their statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.cells.routing import NearestLeaves, Routing, leaf_finder
from udfs.kernels.exact.grid import split_limbs
from udfs.kernels.exact.nearest import Centroids, NearestCentroids
from udfs.kernels.passes.step import Arrays


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
    """Label every point; for inputs that fit on the driver. With a routing, via the cells.

    Result, in order of position: ``labels`` (n,), ``sq_dist`` (n,), ``positions`` (n,).
    """

    centroids: Centroids
    routing: Routing | None = None

    def begin(self) -> "_LabelPointsPass":
        """Start one task's share."""
        return _LabelPointsPass(leaf_finder(self.centroids, self.routing), None)

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
        np.add.at(self.inertia, labels, split_limbs(sq_dist))
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
