"""k-means over a block source: mini-batches while they pay, then Lloyd to convergence.

Mini-batches are nested and growing; against Lloyd at equal work see ``tests.benchmarks.batches``.
Every quantity that steers is exact, so every source takes the same path.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.grid import join_limbs, mean_on_grid
from udfs.kernels.journal import NO_JOURNAL, Journal
from udfs.kernels.memory import LabelMemory
from udfs.kernels.nearest import Centroids
from udfs.kernels.passes import Arrays
from udfs.kernels.sources import Batch, BlockSource
from udfs.kernels.start import start_centroids
from udfs.kernels.steps.sums import AssignAndSum, FarthestPoints

_AUTO_ROWS_PER_CLUSTER = 100  # `auto` takes mini-batches from here: a batch moves each centroid
_AUTO_BLOCKS = 100
_OVER_RELAXATION = 1.5  # of a batch's step: 1 is the mean; 1.8 was worse on three pools of four
_MAX_RESCUES = 10  # passes beyond max_iter that may be spent on clusters still empty


@dataclass(frozen=True)
class KMeansParams:
    """How to solve one k-means problem; the words are scikit-learn's.

    Attributes
    ----------
    algorithm : ``minibatch``, ``lloyd`` or ``auto``
    batch_fraction : share of the blocks in the first mini-batch
    max_no_improvement : iterations without a lower objective before a batch grows early
    reassignment_ratio : a centroid with fewer points than this share of the mean is reseeded before
        the batch grows
    """

    algorithm: str = "auto"
    max_iter: int = 50
    tol: float = 1e-4
    batch_fraction: float = 0.25
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
    journal: Journal = NO_JOURNAL,
) -> NDArray[np.float32]:
    """Solve one k-means problem, or go on from where a journal says.

    Returns
    -------
    centroids : (n_clusters, n_features) float32, grid coordinates

    Raises
    ------
    ValueError
        If the source has fewer distinct points than clusters.
    """
    known = journal.load()
    if known is None:
        C, done, phase = start(source, n_clusters, seed=seed), 0, "start"
        journal.save(phase=phase, C=C, done=done)
    else:
        C, done, phase = known["C"], int(known["done"]), str(known["phase"])
    takes_any = takes_minibatches(source.n_rows, source.n_blocks, n_clusters)
    takes_any = params.algorithm == "minibatch" or (params.algorithm == "auto" and takes_any)
    if takes_any and phase != "lloyd":
        C, done = minibatch(source, C, params, on_iteration=on_iteration, journal=journal)
    return lloyd(
        source, C, params, first_iteration=done, on_iteration=on_iteration, journal=journal
    )


def takes_minibatches(n_rows: int, n_blocks: int, n_clusters: int) -> bool:
    """Tell whether ``auto`` takes mini-batches: where one batch can move every centroid."""
    return n_rows >= _AUTO_ROWS_PER_CLUSTER * n_clusters and n_blocks >= _AUTO_BLOCKS


def minibatch(
    source: BlockSource,
    C: NDArray[np.float32],
    params: KMeansParams,
    *,
    on_iteration: OnIteration = lambda iteration: None,
    journal: Journal = NO_JOURNAL,
) -> tuple[NDArray[np.float32], int]:
    """Iterate over a batch of blocks that doubles after every pass's worth of work.

    Nested batches: Newling and Fleuret, "Nested mini-batch k-means" (2016). While a batch lasts,
    centroids go beyond their means (over-relaxation), as the mean of a part is a guess anyway.

    Returns
    -------
    centroids : (n_clusters, n_features) float32
    n_iterations : int
    """
    n_batches = max(1, min(round(1 / params.batch_fraction), source.n_blocks))
    done, size, step, without_gain = 0, 1, 0, 0
    best: int | None = None
    if (known := journal.load()) and str(known["phase"]) == "minibatch":
        C, best = known["C"], _optional(known["best"])
        done, size, step, without_gain = (
            int(known[name]) for name in ("done", "size", "step", "without_gain")
        )

    def save(step: int) -> None:
        place = {"size": size, "step": step, "without_gain": without_gain, "best": str(best)}
        journal.save(phase="minibatch", C=C, done=done, **place)

    while size < n_batches:
        batch = Batch(size, n_batches)
        n_steps = -(-n_batches // size)
        for at in range(step, n_steps):
            began = time.perf_counter()
            # 1. assign the batch
            sums = source.reduce(AssignAndSum(Centroids(C)), batch)
            n_rows = int(sums["counts"].sum())
            if n_rows == 0:
                break
            # 2. move the centroids, beyond their means
            moved_to = _moved_beyond_means(C, sums)
            objective = join_limbs(sums["objective"])
            moved = float(np.any(moved_to != C, axis=1).mean())
            seconds = time.perf_counter() - began
            on_iteration(Iteration(done, "minibatch", n_rows, objective, moved, 0, seconds))
            done += 1
            # 3. grow early when the batch has no more to give
            without_gain = 0 if best is None or objective < best else without_gain + 1
            best = objective if best is None else min(best, objective)
            if without_gain >= params.max_no_improvement:
                break
            C = moved_to
            if at + 1 < n_steps:  # else the batch's end is still to come
                save(at + 1)
        # 4. reseed centroids that have (almost) no points before the batch grows
        if n_rows:
            counts = np.zeros(len(C), np.int64)
            counts[sums["labels"]] = sums["counts"]
            dead = np.flatnonzero(counts < params.reassignment_ratio * counts.mean())
            C = _reseeded(C, dead, source, C, batch)
        size, step, without_gain, best = 2 * size, 0, 0, None
        save(step)
    return C, done


def _moved_beyond_means(C: NDArray[np.float32], sums: Arrays) -> NDArray[np.float32]:
    """Move the centroids that have points beyond their means; the others stay."""
    touched = sums["labels"]
    before = C[touched].astype(np.float64)
    means = mean_on_grid(sums["sums"], sums["counts"])
    moved_to = C.copy()
    moved_to[touched] = np.rint(before + _OVER_RELAXATION * (means - before))
    return moved_to


def lloyd(
    source: BlockSource,
    C: NDArray[np.float32],
    params: KMeansParams,
    *,
    first_iteration: int = 0,
    on_iteration: OnIteration = lambda iteration: None,
    journal: Journal = NO_JOURNAL,
) -> NDArray[np.float32]:
    """Iterate full passes until the exact objective falls by less than ``tol`` of itself.

    The centroids given back are those of the last assignment, so that no cluster is empty
    unless there are too few distinct points to go round.
    """
    previous: int | None = None
    first = 0
    if (known := journal.load()) and str(known["phase"]) == "lloyd":
        C, previous, first = known["C"], _optional(known["previous"]), int(known["step"])
    memory = LabelMemory() if source.remembers else None
    for i in range(first, params.max_iter + _MAX_RESCUES):
        began = time.perf_counter()
        # 1. assign
        sums = source.reduce(AssignAndSum(Centroids(C), memory))
        objective = join_limbs(sums["objective"])
        empty = np.setdiff1d(np.arange(len(C)), sums["labels"])
        # 2. update; clusters without points restart from the farthest ones
        moved_to = C.copy()
        moved_to[sums["labels"]] = mean_on_grid(sums["sums"], sums["counts"])
        moved_to = _reseeded(moved_to, empty, source, C)
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
        journal.save(phase="lloyd", C=C, done=first_iteration, step=i + 1, previous=str(previous))
    return C


def _optional(text: object) -> int | None:
    """Read a big integer that may be missing, as it stands in a journal."""
    return None if str(text) == "None" else int(str(text))


def _reseeded(
    moved_to: NDArray[np.float32],
    empty: NDArray[np.int64],
    source: BlockSource,
    C: NDArray[np.float32],
    batch: Batch | None = None,
) -> NDArray[np.float32]:
    """Put empty clusters on the points farthest from C, as far as those are distinct."""
    if len(empty) == 0:
        return moved_to
    found = source.reduce(FarthestPoints(Centroids(C)), batch)
    far = found["far_rows"][found["far_keys"] < 0]
    _, first = np.unique(far, axis=0, return_index=True)
    far = far[np.sort(first)][: len(empty)]
    reseeded = moved_to.copy()
    reseeded[empty[: len(far)]] = far
    return reseeded
