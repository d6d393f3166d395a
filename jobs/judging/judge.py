"""A judge of samples: coverage in several views of the same points, beside uniform draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.judging.views import View
from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.judging.coverage import distances_to, mean_by_label

Figures = tuple[NDArray[np.float64], ...]  # a figure per node, for every view


@dataclass(frozen=True)
class Judge:
    """Judges samples in several views of the same points, with uniform draws as the control.

    Attributes
    ----------
    judged : (n, n_features) float32, grid coordinates
    views : labels of the judged points
    points : (n_sampled, n_features) that samples are drawn from
    """

    judged: NDArray[np.float32]
    views: Sequence[View]
    points: NDArray[np.float32]
    n_threads: int
    _uniform: dict[int, Figures] = field(default_factory=dict)

    def relative(self, chosen: NDArray[np.int64]) -> Figures:
        """Measure a draw against a uniform one of its size : (n nodes of all clusterings,) a view.

        The mean is its coverage distance divided by the uniform control's.
        """
        n = len(chosen)
        if n not in self._uniform:
            order = np.argsort(hash_keys(derive_seed(n, 1), np.arange(len(self.points))))
            self._uniform[n] = self._distances(order[:n])
        scales = [math.fsum(control) / len(control) for control in self._uniform[n]]
        mine = self._distances(chosen)
        return tuple(m / max(scale, 1e-300) for m, scale in zip(mine, scales, strict=True))

    def _distances(self, chosen: NDArray[np.int64]) -> Figures:
        distances = distances_to(self.judged, self.points[chosen], n_threads=self.n_threads)
        return tuple(
            np.concatenate([mean_by_label(labels, distances) for labels in clusterings])
            for clusterings in self.views
        )
