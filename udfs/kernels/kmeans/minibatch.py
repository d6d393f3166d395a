"""Mini-batches: nested, growing batches of blocks, over which centroids move beyond their means.

Nested batches: Newling and Fleuret, "Nested mini-batch k-means" (2016). Over-relaxation: the mean
of a batch is only an estimate, and means are still moving. Lloyd follows and lets them settle.
``tests.benchmarks.batches`` compares them with Lloyd at equal work.
"""

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.grid import join_limbs, mean_on_grid
from udfs.kernels.exact.memory import LabelMemory
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import Iteration, KMeansParams, OnIteration, optional, reseeded
from udfs.kernels.passes.journal import NO_JOURNAL, Journal
from udfs.kernels.passes.sources import Batch, BlockSource, Passable
from udfs.kernels.passes.step import Arrays
from udfs.kernels.passes.steps.sums import AssignAndSum

_AUTO_ROWS_PER_CLUSTER = 100  # `auto` uses mini-batches from here: a batch moves each centroid
_AUTO_BLOCKS = 100
_BATCH_ROWS_PER_CLUSTER = 10  # a smaller batch leaves clusters empty, and a worse tree (KL .4)
_LEAST_ITERATIONS = 4  # per batch
_OVER_RELAXATION = 1.8  # factor of a step: 1 is the mean; 1.5 leaves more inertia
_GROWTH = 4


def takes_minibatches(n_rows: int, n_blocks: int, n_clusters: int) -> bool:
    """Return whether ``auto`` uses mini-batches: if one batch can move every centroid."""
    return n_rows >= _AUTO_ROWS_PER_CLUSTER * n_clusters and n_blocks >= _AUTO_BLOCKS


def count_batches(batch_fraction: float, n_rows: int, n_blocks: int, n_clusters: int) -> int:
    """Return how many parts the blocks fall into, the first of which is the first batch."""
    enough = n_rows // (_BATCH_ROWS_PER_CLUSTER * n_clusters)
    return max(1, min(round(1 / batch_fraction), n_blocks, enough))


class Planned(NamedTuple):
    """A batch of ``size`` parts, and how long it lasts."""

    size: int
    n_iterations: int


def schedule(n_batches: int) -> list[Planned]:
    """Plan the batches, each for a pass's worth of iterations, or a few if it is large."""
    sizes = [1]
    while sizes[-1] < n_batches:
        sizes.append(min(_GROWTH * sizes[-1], n_batches))
    return [Planned(size, max(_LEAST_ITERATIONS, n_batches // size)) for size in sizes]


@dataclass
class _Place:
    """Where the iterations are: all that is needed to resume."""

    C: NDArray[np.float32]
    done: int = 0  # iterations over all batches
    batch: int = 0  # index in the plan
    iteration: int = 0  # index in the batch
    without_gain: int = 0  # iterations since the batch's best objective
    best: int | None = None

    def save(self, journal: Journal) -> None:
        """Save it; what is remembered about points is computed again."""
        journal.save(phase="minibatch", **(vars(self) | {"best": str(self.best)}))


def _restored(journal: Journal, C: NDArray[np.float32]) -> _Place:
    known = journal.load()
    if known is None or str(known["phase"]) != "minibatch":
        return _Place(C)
    done, batch, iteration, without_gain = (
        int(known[name]) for name in ("done", "batch", "iteration", "without_gain")
    )
    best = optional(known["best"])
    return _Place(known["C"], done, batch, iteration, without_gain, best)


def minibatch(
    source: BlockSource,
    C: NDArray[np.float32],
    params: KMeansParams,
    *,
    on_iteration: OnIteration = lambda iteration: None,
    journal: Journal = NO_JOURNAL,
) -> tuple[NDArray[np.float32], int]:
    """Iterate over a batch of blocks that grows until it is all of them.

    Returns
    -------
    centroids : (n_clusters, n_features) float32
    n_iterations : int
    """
    n_batches = count_batches(params.batch_fraction, source.n_rows, source.n_blocks, len(C))
    at = _restored(journal, C)
    for planned in schedule(n_batches)[at.batch :]:
        part = source.part(Batch(planned.size, n_batches))
        sums = _iterate(part, planned, at, params, on_iteration, journal)
        # centroids that have (almost) no points are reseeded before the batch grows
        if len(sums["labels"]):
            counts = np.zeros(len(at.C), np.int64)
            counts[sums["labels"]] = sums["counts"]
            dead = np.flatnonzero(counts < params.reassignment_ratio * counts.mean())
            at.C = reseeded(at.C, dead, part, at.C)
        at.batch, at.iteration, at.without_gain, at.best = at.batch + 1, 0, 0, None
        at.save(journal)
    return at.C, at.done


def _iterate(
    part: Passable,
    planned: Planned,
    at: _Place,
    params: KMeansParams,
    on_iteration: OnIteration,
    journal: Journal,
) -> Arrays:
    """Iterate over one batch, moving ``at`` along; return the sums of its last pass."""
    memory = LabelMemory() if part.remembers else None
    for i in range(at.iteration, planned.n_iterations):
        began = time.perf_counter()
        # 1. assign the batch
        sums = part.reduce(AssignAndSum(Centroids(at.C), memory))
        n_rows = int(sums["counts"].sum())
        if n_rows == 0:
            break
        # 2. move the centroids, beyond their means
        moved_to = _moved_beyond_means(at.C, sums)
        objective = join_limbs(sums["objective"])
        moved = float(np.any(moved_to != at.C, axis=1).mean())
        seconds = time.perf_counter() - began
        n_empty = len(at.C) - len(sums["labels"])
        on_iteration(Iteration(at.done, "minibatch", n_rows, objective, moved, n_empty, seconds))
        at.done += 1
        # 3. grow early when the batch has no more to give
        at.without_gain = 0 if at.best is None or objective < at.best else at.without_gain + 1
        at.best = objective if at.best is None else min(at.best, objective)
        if at.without_gain >= params.max_no_improvement:
            break
        at.C, at.iteration = moved_to, i + 1
        if at.iteration < planned.n_iterations:  # else the batch's end is saved instead
            at.save(journal)
    return sums


def _moved_beyond_means(C: NDArray[np.float32], sums: Arrays) -> NDArray[np.float32]:
    """Move centroids with points beyond the points' means; the others stay."""
    touched = sums["labels"]
    before = C[touched].astype(np.float64)
    means = mean_on_grid(sums["sums"], sums["counts"])
    moved_to = C.copy()
    moved_to[touched] = np.rint(before + _OVER_RELAXATION * (means - before))
    return moved_to
