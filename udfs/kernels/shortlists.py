"""Shortlists: the few centroids worth comparing a point with while they move a little.

A point's shortlist holds the N_LISTED centroids nearest to it when it was last compared with all of
them, the *anchors*. A pass over shortlists gathers where a full one multiplies matrices, 5 (k=1000)
to 20 (k=5000) times as fast at d=256. Cf. Drake and Hamerly, "Accelerated k-means with adaptive
distance bounds" (2012), who bound what is not listed; here the next anchors make good what was
missed.

Shortlists follow from points and anchors alone, and exactly: who remembers them saves work, who
does not makes them again.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.nearest import (
    CHUNK,
    RUN_ROWS,
    Buffers,
    Centroids,
    error_bound,
    scores_of,
    settle_exactly,
    sq_distances,
)

N_LISTED = 8  # 12 gained less than .1% of inertia on the pools of tests.benchmarks.batches
_SPARE = 4  # proposals beyond those listed: they tell whether the last place is contested
_PER_GROUP = 8  # columns whose largest is found first, so that a row's largest are in few of them
_ROWS_AT_ONCE = 128  # gathered together: 128 x 8 x 256 float32 stay in a core's own cache

Lists = NDArray[np.int32]  # (n_samples, min(N_LISTED, n_clusters)), each row ascending


class ShortlistMemory(Protocol):
    """Where runs of points find their shortlists again, for one set of anchors."""

    def recall(self, where: NDArray[np.int64], make: Callable[[], Lists]) -> Lists:
        """Return the lists of the points at these positions; made now unless they are known."""


class RunLists:
    """Remembers in this process, where points are passed over in the same runs every time."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Lists] = {}

    def recall(self, where: NDArray[np.int64], make: Callable[[], Lists]) -> Lists:
        """Return a run's lists."""
        run = int(where[0]), len(where)
        if run not in self._known:
            self._known[run] = make()
        return self._known[run]


class ListsMaker:
    """Makes shortlists for block after block; one per task and thread."""

    def __init__(self, anchors: Centroids) -> None:
        self.anchors = anchors
        self._buffers = Buffers()

    def __call__(self, X: NDArray[np.float32]) -> Lists:
        """Find every row's nearest anchors, by (distance, index) : (n_samples, d) -> lists."""
        lists = np.empty((len(X), min(N_LISTED, len(self.anchors.vectors))), np.int32)
        for start in range(0, len(X), RUN_ROWS):
            lists[start : start + RUN_ROWS] = self._nearest(X[start : start + RUN_ROWS])
        lists.sort(axis=1)
        return lists

    def _nearest(self, X: NDArray[np.float32]) -> NDArray[np.intp]:
        """Find the nearest anchors of at most RUN_ROWS rows : (n_samples, N_LISTED)."""
        k = len(self.anchors.vectors)
        # 1. the best scores of each chunk, then of all
        tops, found = [], []
        for number, scores in enumerate(scores_of(X, self.anchors, self._buffers)):
            columns = _largest(scores, N_LISTED + _SPARE)
            tops.append(np.take_along_axis(scores, columns, axis=1))
            found.append(columns + number * CHUNK)
        top = np.concatenate(tops, axis=1)
        order = np.argsort(-top, axis=1)[:, : N_LISTED + _SPARE]
        top = np.take_along_axis(top, order, axis=1)
        proposed = np.take_along_axis(np.concatenate(found, axis=1), order, axis=1)
        nearest = proposed[:, :N_LISTED]
        if k <= N_LISTED:
            return nearest
        # 2. where others come within the error of the last one listed, exact distances decide
        threshold = top[:, N_LISTED - 1] - 2 * error_bound(X, self.anchors)
        is_contested = top[:, N_LISTED] >= threshold
        is_open = (top[:, -1] >= threshold) & (top.shape[1] < k)  # others may come as close
        among = np.flatnonzero(is_contested & ~is_open)
        nearest[among] = self._settled(X[among], proposed[among])
        everywhere = np.flatnonzero(is_open)
        nearest[everywhere] = self._searched(X[everywhere])
        return nearest

    def _settled(self, X: NDArray[np.float32], proposed: NDArray[np.intp]) -> NDArray[np.intp]:
        """Find the nearest of those proposed, exactly : (m, d), (m, p) -> (m, N_LISTED)."""
        m, p = proposed.shape
        C = self.anchors.vectors[proposed.ravel()]
        sq_dist = sq_distances(np.repeat(X, p, axis=0), C).reshape(m, p)
        order = np.lexsort((proposed, sq_dist), axis=1)[:, :N_LISTED]
        return np.take_along_axis(proposed, order, axis=1)

    def _searched(self, X: NDArray[np.float32]) -> NDArray[np.intp]:
        """Find the nearest of all, exactly; for points with many anchors at one distance."""
        sq_dist = -2 * (X.astype(np.float64) @ self._wide.T)  # whole numbers below 2^53: exact
        sq_dist += 2 * self.anchors.half_sq_norms
        return np.argsort(sq_dist, axis=1, kind="stable")[:, :N_LISTED]

    @cached_property
    def _wide(self) -> NDArray[np.float64]:
        return self.anchors.vectors.astype(np.float64)


def _largest(scores: NDArray[np.float32], n: int) -> NDArray[np.intp]:
    """Find the columns of each row's n largest scores, in any order : (m, k) -> (m, min(n, k)).

    They lie in the n groups of columns with the largest maxima, or in the columns left over.
    """
    m, k = scores.shape
    if k <= n:
        return np.tile(np.arange(k), (m, 1))
    n_groups = k // _PER_GROUP
    columns = np.arange(k)
    if n_groups > n:
        grouped = scores[:, : n_groups * _PER_GROUP].reshape(m, _PER_GROUP, n_groups)
        groups = np.argpartition(grouped.max(axis=1), n_groups - n, axis=1)[:, -n:]
        members = groups[:, :, None] + n_groups * np.arange(_PER_GROUP)
        left_over = np.tile(columns[n_groups * _PER_GROUP :], (m, 1))
        candidates = np.concatenate([members.reshape(m, -1), left_over], axis=1)
        scores = np.take_along_axis(scores, candidates, axis=1)
    else:
        candidates = np.tile(columns, (m, 1))
    chosen = np.argpartition(scores, scores.shape[1] - n, axis=1)[:, -n:]
    return np.take_along_axis(candidates, chosen, axis=1)


class NearestListed:
    """Finds the nearest centroid of every point's shortlist, exactly; one per task and thread."""

    def __init__(self, centroids: Centroids) -> None:
        self.centroids = centroids
        self._half_sq_norms = centroids.half_sq_norms.astype(np.float32)
        self._gathered = np.empty((0, 0, 0), np.float32)

    def __call__(self, X: NDArray[np.float32], lists: Lists) -> NDArray[np.int32]:
        """Find labels; ties go to the lowest index : (n_samples, d), lists -> (n_samples,)."""
        scores = self._score(X, lists)
        rows = np.arange(len(X))
        best = scores.argmax(axis=1)
        labels = lists[rows, best].astype(np.intp)
        slack = 2 * error_bound(X, self.centroids)
        is_close = scores >= (scores[rows, best] - slack)[:, None]
        contested = np.flatnonzero(np.count_nonzero(is_close, axis=1) > 1)
        if len(contested):
            row, place = np.nonzero(is_close[contested])
            row = contested[row]
            rivals = lists[row, place].astype(np.intp)
            settle_exactly(X, self.centroids.vectors, row, rivals, labels)
        return np.asarray(labels, np.int32)

    def _score(self, X: NDArray[np.float32], lists: Lists) -> NDArray[np.float32]:
        """Return s(x, c) of those listed : (n_samples, n_listed)."""
        if len(self._gathered) == 0:
            self._gathered = np.empty((_ROWS_AT_ONCE, lists.shape[1], X.shape[1]), np.float32)
        scores = np.empty((*lists.shape, 1), np.float32)
        for start in range(0, len(X), _ROWS_AT_ONCE):
            run = slice(start, start + _ROWS_AT_ONCE)
            gathered = self._gathered[: len(X[run])]
            np.take(self.centroids.vectors, lists[run], axis=0, out=gathered, mode="clip")
            np.matmul(gathered, X[run, :, None], out=scores[run])
        return scores[:, :, 0] - self._half_sq_norms[lists]
