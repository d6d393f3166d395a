"""How many passes, distances and kernel calls each part of the solver takes.

How often a fit iterates depends on the data; the counts below come from pools with planted
concepts (20,000 x 256 at 1000/200, 10,000 at 1000/100, 200,000 at 1000, cells of 2000 at 100).
"""

import math
from dataclasses import dataclass, replace

from jobs.clustering.sizes import comes_to_driver, max_cell_rows
from jobs.sections.cluster import ClusterConfig
from udfs.kernels.cells.coarse import SAMPLE_PER_CELL
from udfs.kernels.kmeans.minibatch import count_batches, schedule, takes_minibatches
from udfs.kernels.kmeans.resampling import closest_points
from udfs.kernels.kmeans.start import GRAM_CANDIDATES, N_ROUNDS, OVERSAMPLING
from udfs.kernels.passes.sources import BLOCK_ROWS

LLOYD = 7.0  # passes of a fit until inertia falls by less than tol (seen: 3 to 10)
LLOYD_RESAMPLED = 4.0  # passes of a fit on the members closest to centroids (seen: 2 to 8)
LLOYD_AFTER_BATCHES = 4.0  # (seen: 3 to 6; 20 in round clouds)
KEPT = 0.73  # share of k * r points kept: clusters smaller than r have fewer
CLUSTER_ROWS = 10.0  # a step of a cell's greedy start costs as much as visiting this many rows
_COARSE_ITERATIONS = 10
_PARTS = 1.5  # parts that an oversized cell is divided into, per multiple of the limit
_TRIAL_SECONDS = 1.5e-9  # greedy k-means++: one candidate compared with one trial
_FLOAT64_SECONDS = 1 / 45e9  # per FLOP, dgemm on one core


@dataclass(frozen=True)
class Passes:
    """Work of one part of a level.

    Attributes
    ----------
    n_passes : over all of the level's inputs, fractions counted
    rows : visited, in all passes
    pairs : distances, in all passes
    cost : cost of those distances, in float32 matrix products that take the same time
    calls : passes of any size; Spark jobs if Spark solves
    shipped : centroids sent to the executors if Spark solves, in all passes
    serial : seconds on the driver, in one thread
    """

    n_passes: float = 0.0
    rows: float = 0.0
    pairs: float = 0.0
    cost: float = 0.0
    calls: float = 0.0
    shipped: float = 0.0
    serial: float = 0.0

    def __add__(self, other: "Passes") -> "Passes":
        """Return the work of both."""
        mine, its = vars(self), vars(other)
        return Passes(**{name: mine[name] + its[name] for name in mine})

    def times(self, n: float) -> "Passes":
        """Return the work done n times."""
        return Passes(**{name: n * value for name, value in vars(self).items()})


def full(n_rows: float, k: float, n: float = 1.0, *, share: float = 1.0) -> Passes:
    """Return n passes over a share of the level's inputs, against k centroids."""
    pairs = n * n_rows * k
    return Passes(n * share, n * n_rows, pairs, cost=pairs, calls=n, shipped=n * k)


def start(n_rows: float, k: float, d: int, *, remembers: bool, share: float = 1.0) -> Passes:
    """Return the work of k-means||, in rounds over all points, then k-means++ on the driver."""
    candidates = OVERSAMPLING * k
    # without a memory, round i compares with all found so far, and the count with all once more
    compared = candidates if remembers else candidates * (1 + (N_ROUNDS - 1) / 2)
    n_trials = 2 + int(math.log(k))
    gram = candidates * min(candidates, GRAM_CANDIDATES)
    if candidates > GRAM_CANDIDATES:
        gram = candidates * k * n_trials
    n = N_ROUNDS + 1
    return Passes(
        n_passes=n * share,
        rows=(n - 2 * remembers) * n_rows,  # with a memory, the first round and the count are free
        pairs=n_rows * compared,
        cost=n_rows * compared,
        calls=n,
        shipped=candidates * (1 + (N_ROUNDS - 1) / 2),
        serial=gram * 2 * d * _FLOAT64_SECONDS + k * n_trials * candidates * _TRIAL_SECONDS,
    )


def iterate(
    n_rows: float, k: int, config: ClusterConfig, n_lloyd: float = LLOYD, *, share: float = 1.0
) -> Passes:
    """Return the work of iterating: mini-batches if they pay, then Lloyd."""
    n_blocks = -(-int(n_rows) // BLOCK_ROWS)
    enough = takes_minibatches(int(n_rows), n_blocks, k)
    if config.algorithm == "lloyd" or (config.algorithm == "auto" and not enough):
        return full(n_rows, k, min(n_lloyd, config.max_iter), share=share)
    n_batches = count_batches(config.minibatch.batch_fraction, int(n_rows), n_blocks, k)
    work = full(n_rows, k, min(LLOYD_AFTER_BATCHES, config.max_iter), share=share)
    for size, n_steps in schedule(n_batches):
        part = size / n_batches
        work += full(n_rows * part, k, n_steps, share=part * share)
    return work


def flat_level(
    n_rows: int, t: int, d: int, config: ClusterConfig, *, remembers: bool
) -> dict[str, Passes]:
    """Return the parts of a level solved over all its inputs at once."""
    k, rounds = config.levels[t - 1], config.rounds_at(t)
    kept = n_resampled(n_rows, t, config)
    share = kept / n_rows
    parts = {
        "start": start(n_rows, k, d, remembers=remembers),
        "iterations": iterate(n_rows, k, config) + full(n_rows, k, 1 if t == 1 else 2),
    }
    if rounds:
        remembers = remembers or comes_to_driver(4 * kept * d)
        again = start(kept, k, d, remembers=remembers, share=share) + iterate(
            kept, k, config, LLOYD_RESAMPLED, share=share
        )
        parts["closest"] = full(n_rows, k, float(rounds))
        parts["resampling"] = again.times(rounds)
    return parts


def n_resampled(n_rows: int, t: int, config: ClusterConfig) -> float:
    """Return the number of points that a resampling round keeps."""
    k = config.levels[t - 1]
    return KEPT * min(n_rows, k * closest_points(config.points_at(t), n_rows, k))


def cells_of(n_rows: int, t: int, d: int, config: ClusterConfig) -> float:
    """Return how many cells a level ends up with, oversized ones divided; 0 if it is flat."""
    if not config.cells_at(t):
        return 0.0
    divided = _PARTS * n_rows / max_cell_rows(config, d)
    return min(config.levels[t - 1], max(config.cells_at(t), divided))


def n_in_sample(n_rows: int, t: int, config: ClusterConfig) -> int:
    """Return the number of points that a level's cells are fitted on."""
    return min(n_rows, SAMPLE_PER_CELL * config.cells_at(t))


def split_level(
    n_rows: int, t: int, d: int, config: ClusterConfig, *, remembers: bool
) -> dict[str, Passes]:
    """Return the parts of a level solved in cells: fitting cells on a sample, then solving each."""
    k, n_asked, n_cells = config.levels[t - 1], config.cells_at(t), cells_of(n_rows, t, d, config)
    sample = n_in_sample(n_rows, t, config)
    share = sample / n_rows
    coarse = start(sample, n_asked, d, remembers=True, share=share) + full(
        sample, n_asked, _COARSE_ITERATIONS, share=share
    )
    in_cell = max(1.0, k / n_cells)
    inside = start(n_rows, in_cell, d, remembers=True) + full(n_rows, in_cell, LLOYD + 1)
    cells = replace(
        inside,
        rows=inside.rows + CLUSTER_ROWS * k,
        calls=n_cells * inside.calls if remembers else 0,  # one Spark job for all of them
        shipped=0,
        serial=0,
    )
    return {
        "start": replace(coarse, shipped=0),
        "cells": cells + full(n_rows, n_cells),
    }
