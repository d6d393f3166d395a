"""The cost of each part of a level, in the driver's memory or on the executors."""

from collections.abc import Iterator

from jobs.clustering.sizes import comes_to_driver, max_cell_rows, n_solving_bins, ranges_of_sums
from jobs.planning.machine import (
    CALL_SECONDS,
    DRIVER_BASE,
    FETCH_PER_BYTE,
    FETCHED_COPIES,
    FILE_PER_BYTE,
    JOB_SECONDS,
    READ_PER_BYTE,
    ROUTE_PER_BYTE,
    SHIP_PER_BYTE,
    WORKER_BASE,
    Machine,
)
from jobs.planning.passes import (
    Passes,
    cells_of,
    flat_level,
    n_in_sample,
    n_resampled,
    split_level,
)
from jobs.planning.problem import Part, Problem
from udfs.kernels.cells.coarse import LARGEST_CELL
from udfs.kernels.kmeans.resampling import closest_points
from udfs.kernels.kmeans.start import GRAM_CANDIDATES, OVERSAMPLING
from udfs.kernels.passes.sources import BLOCK_ROWS

BIN_COPIES = 3.0  # copies of a bin's vectors in a worker: received, joined, sent on
CELL_SKEW = LARGEST_CELL  # the largest cell relative to the mean
# Bytes per component of a centroid in a task: itself, the GEMM's side, sums and their result.
FLAT_BYTES = 4 + 4 + 8 + 8 + 8
MEMBER_BYTES = 4 + 8 + 8  # a point in the search for the closest: label, distance, position
MEMBER_HELD = 95  # while sorting: as received, as arrays, joined, in order (seen: 90 to 94)
TREE_BYTES = 24  # per component of a node on the driver: solved, joined, written


def tree_bytes(problem: Problem) -> float:
    """Return the bytes of the tree that the driver holds."""
    return TREE_BYTES * problem.n_features * float(sum(problem.config.cluster.levels))


def sums_bytes(n_clusters: int, n_features: int, n_slots: int) -> float:
    """Return the bytes of sums that a pass brings to the driver: from every task, or added up."""
    adds_up = ranges_of_sums(n_clusters, n_features, n_slots) is not None  # on the executors
    return 8.0 * n_clusters * n_features * (1 if adds_up else n_slots)


def level_parts(problem: Problem, t: int, machine: Machine, *, jvm: float) -> Iterator[Part]:
    """Estimate the parts of one level.

    Parameters
    ----------
    t : the level, from 1
    jvm : bytes of the JVM at the driver
    """
    return _LevelEstimator(problem, t, machine, jvm).parts()


class _LevelEstimator:
    """One level's sizes, ready for every part of it."""

    def __init__(self, problem: Problem, t: int, machine: Machine, jvm: float) -> None:
        self.problem, self.t, self.machine, self.jvm = problem, t, machine, jvm
        self.cluster, self.d = problem.config.cluster, problem.n_features
        self.k, self.n_rows = self.cluster.levels[t - 1], problem.inputs_of(t)
        self.n_cells = cells_of(self.n_rows, t, self.d, self.cluster)
        self.n_bytes = 4.0 * self.n_rows * self.d
        self.kept = int(n_resampled(self.n_rows, t, self.cluster))

    def parts(self) -> Iterator[Part]:
        is_local = self.problem.is_local or self.t > 1
        solve = split_level if self.n_cells else flat_level
        parts = solve(self.n_rows, self.t, self.d, self.cluster, remembers=is_local)
        for name, passes in parts.items():
            if is_local:
                yield self._in_memory(name, passes, self.n_rows)
            elif name == "resampling" and comes_to_driver(4 * self.kept * self.d):
                yield self._in_memory(name, passes, self.kept)
            elif not self.n_cells:
                yield self._flat(name, passes)
            else:
                yield self._on_sample(passes) if name == "start" else self._in_cells(passes)

    def _in_memory(self, name: str, passes: Passes, n_rows: int) -> Part:
        """Estimate work on points or nodes in the driver's memory."""
        n_threads = self.machine.n_threads
        seconds = self._in_threads(passes)
        fetched = self.n_rows if self.t == 1 and name == "start" else 0
        seconds += FETCH_PER_BYTE * 4.0 * self.d * fetched
        k, n_bytes = float(self.k), 4.0 * n_rows * self.d
        kept = 0.0 if name in ("start", "iterations") else n_bytes / 2  # a resampled subset
        if self.n_cells:  # a thread works on one cell at a time
            kept, k = CELL_SKEW * n_threads * n_bytes / self.n_cells, self.n_cells
        held = FETCHED_COPIES * n_bytes + kept + n_threads * self.d * k * FLAT_BYTES
        gathered = (4.0 * self.d + 2 * 8) * fetched  # vectors, ids and hashes
        return self._part(
            name, "local", passes, seconds, n_rows=n_rows, driver=held, gathered=gathered
        )

    def _on_sample(self, passes: Passes) -> Part:
        """Estimate fitting the cells on a sample that the driver fetches."""
        machine = self.machine
        seconds = self._in_threads(passes) + JOB_SECONDS
        seconds += READ_PER_BYTE * self.n_bytes / machine.n_slots
        gathered = (4.0 * self.d + 8) * n_in_sample(self.n_rows, self.t, self.cluster)
        held = FETCHED_COPIES * gathered
        held += machine.n_threads * self.d * self.cluster.cells_at(self.t) * FLAT_BYTES
        return self._part("start", "spark", passes, seconds, driver=held, gathered=gathered)

    def _in_cells(self, passes: Passes) -> Part:
        """Estimate the job that brings the points to their cells and solves the cells."""
        n_slots = self.machine.n_slots
        seconds = (self._work(passes) + ROUTE_PER_BYTE * self.n_bytes) / n_slots
        seconds += passes.calls * JOB_SECONDS
        n_bins = n_solving_bins(int(self.n_bytes), int(self.n_cells), n_slots)
        allowed = 4.0 * self.d * max_cell_rows(self.cluster, self.d)
        largest = min(allowed, self.n_bytes, CELL_SKEW * self.n_bytes / self.n_cells)
        worker = BIN_COPIES * max(self.n_bytes / n_bins, largest)
        gathered = 4.0 * (self.d + 8) * self.k  # leaves and their statistics
        return self._part(
            "cells", "spark", passes, seconds, worker=worker, shuffled=self.n_bytes,
            gathered=gathered,
        )  # fmt: skip

    def _flat(self, name: str, passes: Passes) -> Part:
        """Estimate passes over blocks on the executors, with as many tasks as slots."""
        n_slots, shipped = self.machine.n_slots, 4.0 * self.d * passes.shipped
        work = self._work(passes) + SHIP_PER_BYTE * shipped * n_slots
        work += FILE_PER_BYTE * self.n_bytes * passes.n_passes
        seconds = work / n_slots + passes.calls * JOB_SECONDS + passes.serial
        worker = float(FLAT_BYTES * self.d * self.k)
        gathered = sums_bytes(self.k, self.d, n_slots)
        driver = 2 * gathered  # once as bytes, once as arrays
        if name == "closest":
            each = closest_points(self.cluster.points_at(self.t), self.n_rows, self.k)
            sent = min(self.n_rows, n_slots * self.k * each)
            gathered, driver = float(MEMBER_BYTES * sent), float(MEMBER_HELD * sent)
            worker += MEMBER_HELD * self.n_rows / n_slots
        elif name == "resampling":  # the driver keeps the chosen points' positions, and ships them
            driver += (MEMBER_BYTES + 8) * self.kept
            worker += 8 * self.kept
        return self._part(
            name, "spark", passes, seconds, worker=worker, driver=driver, shipped=shipped,
            gathered=gathered,
        )  # fmt: skip

    def _work(self, passes: Passes) -> float:
        """Return the work in seconds of one slot or thread."""
        speed = self.machine.speed
        return passes.rows * speed.row_seconds + passes.cost * speed.pair_seconds

    def _in_threads(self, passes: Passes) -> float:
        """Return the seconds of passes in the driver's memory."""
        work = self._work(passes) / self.machine.n_threads
        return work + passes.calls * CALL_SECONDS + passes.serial

    def _part(
        self,
        name: str,
        solver: str,
        passes: Passes,
        seconds: float,
        *,
        n_rows: int | None = None,
        worker: float = 0.0,
        driver: float = 0.0,
        shipped: float = 0.0,
        shuffled: float = 0.0,
        gathered: float = 0.0,
    ) -> Part:
        n_blocks = -(-(self.n_rows if n_rows is None else n_rows) // BLOCK_ROWS)
        candidates = OVERSAMPLING * (self.cluster.cells_at(self.t) or self.k)
        if passes.serial and candidates <= GRAM_CANDIDATES:  # all pairwise distances are kept
            driver += 8.0 * candidates**2
        return Part(
            "cluster_levels", name, self.t, solver, n_blocks, passes.n_passes,
            flops=2.0 * self.d * passes.pairs, shipped=shipped, shuffled=shuffled,
            worker=WORKER_BASE + worker if worker else 0.0,
            driver=DRIVER_BASE + driver + tree_bytes(self.problem), jvm=self.jvm,
            seconds=seconds, gathered=gathered,
        )  # fmt: skip
