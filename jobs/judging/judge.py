"""A judge of samples drawn from points in memory, beside uniform draws of the same size."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.judging.views import Views
from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.judging.coverage import distances_to, mean_by_label
from udfs.kernels.judging.measures import exact_mean, kl_to_uniform
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.passes.steps.members import LabelPoints

Distances = NDArray[np.float64]


class Judged(NamedTuple):
    """What a sample is worth.

    Attributes
    ----------
    nodes : (n nodes of all clusterings,) coverage distances relative to the uniform control's mean
    communities : (n_communities,) likewise; None if there are none
    kl : KL divergence of the sample's points over communities, in nats; 0 without communities
    """

    nodes: Distances
    communities: Distances | None
    kl: float


@dataclass(frozen=True)
class Judge:
    """Judges samples in two views of a part of the points, with uniform draws as the control.

    Attributes
    ----------
    judged : (n, n_features) float32, grid coordinates
    views : labels of the judged points
    points : (n_points, n_features) that samples are drawn from
    """

    judged: NDArray[np.float32]
    views: Views
    points: NDArray[np.float32]
    n_threads: int
    _uniform: dict[int, tuple[Distances, Distances | None]] = field(default_factory=dict)

    def measure(self, chosen: NDArray[np.int64]) -> Judged:
        """Measure a draw : (n,) positions among the points."""
        n = len(chosen)
        if n not in self._uniform:
            order = np.argsort(hash_keys(derive_seed(n, 1), np.arange(len(self.points))))
            self._uniform[n] = self._distances(order[:n])
        (nodes, communities), control = self._distances(chosen), self._uniform[n]
        nodes /= _scale(control[0])
        if communities is None or control[1] is None:
            return Judged(nodes, None, 0.0)
        found = self._community[chosen]
        counts = np.bincount(found[found >= 0], minlength=len(communities))
        kl = kl_to_uniform(counts) if counts.sum() else float(np.log(len(counts)))
        return Judged(nodes, communities / _scale(control[1]), kl)

    def _distances(self, chosen: NDArray[np.int64]) -> tuple[Distances, Distances | None]:
        """Return the mean distance of every node, and of every community."""
        distances = distances_to(self.judged, self.points[chosen], n_threads=self.n_threads)
        nodes = np.concatenate([mean_by_label(labels, distances) for labels in self.views.nodes])
        communities = self.views.communities
        return nodes, None if communities is None else mean_by_label(communities, distances)

    @cached_property
    def _community(self) -> NDArray[np.int64]:
        """The community of every point : (n_points,), that of its nearest judged one."""
        source = blocks_of(self.points, self.n_threads)
        nearest = source.reduce(LabelPoints(Centroids(self.judged)))["labels"]
        return np.asarray(self.views.communities)[nearest]


def _scale(control: Distances) -> float:
    return max(exact_mean(control), 1e-300)
