"""k-means over a block source: mini-batches while they pay, then Lloyd to convergence.

Every quantity that steers the fit is exact, so every source takes the same path.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.grid import join_limbs, mean_on_grid
from udfs.kernels.exact.memory import LabelMemory
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import Iteration, KMeansParams, OnIteration, optional, reseeded
from udfs.kernels.kmeans.minibatch import minibatch, takes_minibatches
from udfs.kernels.kmeans.start import start_centroids
from udfs.kernels.passes.journal import NO_JOURNAL, Journal
from udfs.kernels.passes.sources import BlockSource
from udfs.kernels.passes.steps.sums import AssignAndSum

_MAX_RESCUES = 10  # passes beyond max_iter that may be spent on clusters still empty


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
    """Solve one k-means problem, or resume from a journal.

    Returns
    -------
    centroids : (n_clusters, n_features) float32, grid coordinates

    Raises
    ------
    TooFewDistinct
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

    The centroids returned are those of the last assignment, so that no cluster is empty
    unless there are too few distinct points to go round.

    Parameters
    ----------
    C : (n_clusters, n_features) float32, grid coordinates, to start from
    """
    previous: int | None = None
    first = 0
    if (known := journal.load()) and str(known["phase"]) == "lloyd":
        C, previous, first = known["C"], optional(known["previous"]), int(known["step"])
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
        moved_to = reseeded(moved_to, empty, source, C)
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
