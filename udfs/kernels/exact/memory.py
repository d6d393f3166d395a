"""What points in memory carry from one pass to the next; executors carry nothing."""

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Centroids, NearestCentroids


class DistanceMemory:
    """Each run of points' nearest centroids so far; only new centroids are compared.

    Five rounds of k-means|| then cost one distance per point and candidate, not three.
    """

    def __init__(self) -> None:
        self._n_known = 0
        self._first_added = 0
        self._added = Centroids(np.empty((0, 0), np.float32))
        self._nearest: dict[int, tuple[NDArray[np.int32], NDArray[np.float64]]] = {}

    def grow(self, centroids: NDArray[np.float32]) -> None:
        """Take the whole list (k, d), which starts with the last one; call before every pass."""
        self._first_added, self._n_known = self._n_known, len(centroids)
        self._added = Centroids(centroids[self._first_added :])

    def finder(self) -> NearestCentroids:
        """Return what one task needs for ``nearest``."""
        return NearestCentroids(self._added)

    def nearest(
        self, where: NDArray[np.int64], X: NDArray[np.float32], finder: NearestCentroids
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Find the nearest of the whole list : (n,) positions, (n, d) -> labels, distances (n,)."""
        if self._first_added == self._n_known:
            return self._nearest[int(where[0])]
        labels, sq_dist = finder(X)
        labels += np.int32(self._first_added)
        if self._first_added:
            old_labels, old_sq_dist = self._nearest[int(where[0])]
            is_old = old_sq_dist <= sq_dist  # ties go to the lowest index
            labels = np.where(is_old, old_labels, labels)
            sq_dist = np.where(is_old, old_sq_dist, sq_dist)
        self._nearest[int(where[0])] = labels, sq_dist
        return labels, sq_dist


class LabelMemory:
    """Each run of points' labels in the last pass, and the clusters' sums that they gave.

    A pass then updates only points that have changed cluster; sums are exact, so nothing drifts.
    After a pass in which most points changed, the next sums from scratch, as that is cheaper.
    """

    def __init__(self) -> None:
        self._labels: dict[int, NDArray[np.int32]] = {}
        self.totals: tuple[NDArray[np.int64], NDArray[np.float64], int] | None = None

    def exchange(self, first: int, labels: NDArray[np.int32]) -> NDArray[np.int32] | None:
        """Store the labels (n,) of the run that begins at a position; return its previous ones."""
        old = self._labels.get(first)
        self._labels[first] = labels
        return old

    def keep(
        self, counts: NDArray[np.int64], sums: NDArray[np.float64], sq_norms: int, n_changed: int
    ) -> None:
        """Keep a pass's totals, (k,) and (k, d), for the next to build on, if that is cheaper."""
        few = 2 * n_changed < counts.sum()
        self.totals = (counts, sums, sq_norms) if few else None
