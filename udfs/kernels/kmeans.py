"""k-means over a block source: mini-batches while they pay, then Lloyd to convergence.

Mini-batch: Sculley, "Web-scale k-means clustering" (2010), with per-centroid rates and
scikit-learn's stop rule. Every quantity that steers is exact, so every source takes the same path.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.grid import join_limbs, mean_on_grid
from udfs.kernels.memory import LabelMemory
from udfs.kernels.nearest import Centroids
from udfs.kernels.sources import Batch, BlockSource
from udfs.kernels.start import start_centroids
from udfs.kernels.steps import AssignAndSum, FarthestPoints

_AUTO_ROWS_PER_CLUSTER = 100  # `auto` takes mini-batches from here: a batch moves each centroid
_AUTO_BLOCKS = 100
_MIN_GAIN = 1e-2  # mini-batches pay while the smoothed objective falls by this share
_MAX_RESCUES = 10  # passes beyond max_iter that may be spent on clusters still empty


@dataclass(frozen=True)
class KMeansParams:
    """How to solve one k-means problem; the words are scikit-learn's.

    Attributes
    ----------
    algorithm : ``minibatch``, ``lloyd`` or ``auto``
    batch_fraction : share of the blocks in one mini-batch
    max_no_improvement : mini-batches without a better smoothed objective before Lloyd takes over
    reassignment_ratio : a centroid that saw fewer points than this share of the mean, in a round
        over all batches, is reseeded
    """

    algorithm: str = "auto"
    max_iter: int = 50
    tol: float = 1e-4
    batch_fraction: float = 0.1
    max_no_improvement: int = 10
    reassignment_ratio: float = 0.01


@dataclass(frozen=True)
class Iteration:
    """One iteration, as a row of the ``iterations`` table; objective in squared grid units."""

    iteration: int
    algorithm: str
    n_rows: int
    objective: int
    moved: float
    n_empty: int
    seconds: float


OnIteration = Callable[[Iteration], None]


def fit_kmeans(
    source: BlockSource,
    n_clusters: int,
    params: KMeansParams,
    *,
    seed: int,
    on_iteration: OnIteration = lambda iteration: None,
    start: Callable[..., NDArray[np.float32]] = start_centroids,
) -> NDArray[np.float32]:
    """Solve one k-means problem.

    Returns
    -------
    centroids : (n_clusters, n_features) float32, grid coordinates

    Raises
    ------
    ValueError
        If the source has fewer distinct points than clusters.
    """
    C = start(source, n_clusters, seed=seed)
    done = 0
    if _takes_minibatches(source, n_clusters, params):
        C, done = minibatch(source, C, params, on_iteration=on_iteration)
    return lloyd(source, C, params, first_iteration=done, on_iteration=on_iteration)


def _takes_minibatches(source: BlockSource, n_clusters: int, params: KMeansParams) -> bool:
    if params.algorithm != "auto":
        return params.algorithm == "minibatch"
    enough_rows = source.n_rows >= _AUTO_ROWS_PER_CLUSTER * n_clusters
    return enough_rows and source.n_blocks >= _AUTO_BLOCKS


def minibatch(
    source: BlockSource,
    C: NDArray[np.float32],
    params: KMeansParams,
    *,
    on_iteration: OnIteration = lambda iteration: None,
) -> tuple[NDArray[np.float32], int]:
    """Iterate over batches of blocks until the smoothed objective stops falling.

    Returns
    -------
    centroids : (n_clusters, n_features) float32
    n_iterations : int
    """
    n_batches = max(1, min(round(1 / params.batch_fraction), source.n_blocks))
    seen = np.ones(len(C), np.int64)  # points seen so far; a start centroid is a point itself
    recent = np.zeros(len(C), np.int64)  # points seen in this round over the batches
    smoothed = best = float("inf")
    without_gain = 0
    for i in range(params.max_iter * n_batches):
        began = time.perf_counter()
        # 1. assign one batch
        sums = source.reduce(AssignAndSum(Centroids(C)), Batch(i % n_batches, n_batches))
        n_rows = int(sums["counts"].sum())
        if n_rows == 0:
            continue
        # 2. move every touched centroid by its own rate, 1 / points seen so far
        touched, counts = sums["labels"], sums["counts"]
        moved_to = C.copy()
        before: NDArray[np.float64] = C[touched].astype(np.float64) * seen[touched, None]
        seen[touched] += counts
        recent[touched] += counts
        moved_to[touched] = mean_on_grid(before + sums["sums"], seen[touched])
        # 3. once per round over the batches, reseed centroids that saw (almost) nothing
        dead = np.empty(0, np.int64)
        if i % n_batches == n_batches - 1:
            dead = np.flatnonzero(recent < params.reassignment_ratio * recent.mean())
            dead = _reseed(moved_to, dead, source, C, Batch(i % n_batches, n_batches))
            seen[dead] = 0
            recent[:] = 0
        objective = join_limbs(sums["objective"])
        moved = float(np.any(moved_to != C, axis=1).mean())
        C = moved_to
        seconds = time.perf_counter() - began
        on_iteration(Iteration(i, "minibatch", n_rows, objective, moved, len(dead), seconds))
        # 4. stop when the exponentially smoothed objective per point no longer improves
        rate = min(1.0, 2 * n_rows / (source.n_rows + 1))
        per_point = objective / n_rows
        smoothed = per_point if i == 0 else (1 - rate) * smoothed + rate * per_point
        without_gain = 0 if smoothed < best * (1 - _MIN_GAIN) else without_gain + 1
        best = min(best, smoothed)
        if without_gain >= params.max_no_improvement:
            break
    return C, i + 1


def lloyd(
    source: BlockSource,
    C: NDArray[np.float32],
    params: KMeansParams,
    *,
    first_iteration: int = 0,
    on_iteration: OnIteration = lambda iteration: None,
) -> NDArray[np.float32]:
    """Iterate full passes until the exact objective falls by less than ``tol`` of itself.

    The centroids given back are those of the last assignment, so that no cluster is empty
    unless there are too few distinct points to go round.
    """
    previous: int | None = None
    memory = LabelMemory() if source.remembers else None
    for i in range(params.max_iter + _MAX_RESCUES):
        began = time.perf_counter()
        # 1. assign
        sums = source.reduce(AssignAndSum(Centroids(C), memory))
        objective = join_limbs(sums["objective"])
        empty = np.setdiff1d(np.arange(len(C)), sums["labels"])
        # 2. update; clusters without points restart from the farthest ones
        moved_to = C.copy()
        moved_to[sums["labels"]] = mean_on_grid(sums["sums"], sums["counts"])
        _reseed(moved_to, empty, source, C)
        moved = float(np.any(moved_to != C, axis=1).mean())
        seconds = time.perf_counter() - began
        on_iteration(
            Iteration(
                first_iteration + i, "lloyd", source.n_rows, objective, moved, len(empty), seconds
            )
        )
        # 3. stop on the centroids just assigned to
        stalled = previous is not None and previous - objective <= params.tol * previous
        exhausted = i + 1 >= params.max_iter or stalled or moved == 0
        if exhausted and (len(empty) == 0 or moved == 0):
            break
        previous, C = objective, moved_to
    return C


def _reseed(
    moved_to: NDArray[np.float32],
    empty: NDArray[np.int64],
    source: BlockSource,
    C: NDArray[np.float32],
    batch: Batch | None = None,
) -> NDArray[np.int64]:
    """Put empty clusters on the points farthest from C, in place; give the clusters that moved."""
    if len(empty) == 0:
        return empty
    found = source.reduce(FarthestPoints(Centroids(C)), batch)
    far = found["far_rows"][found["far_keys"] < 0]
    _, first = np.unique(far, axis=0, return_index=True)
    far = far[np.sort(first)]
    moved = empty[: len(far)]
    moved_to[moved] = far[: len(moved)]
    return moved
