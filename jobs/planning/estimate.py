"""What each part of a run will cost: blocks, passes, bytes, memory at its highest, seconds."""

from collections.abc import Iterator

from jobs.clustering.sizes import (
    comes_to_driver,
    max_cell_rows,
    n_packing_bins,
    n_solving_bins,
)
from jobs.planning.machine import (
    ASSIGN_PER_POINT,
    CALL_SECONDS,
    COLD_SECONDS,
    DRAW_PER_POINT,
    DRIVER_BASE,
    EMBED_PER_BYTE,
    EVENT_SECONDS,
    FETCH_PER_BYTE,
    FETCHED_COPIES,
    FILE_PER_BYTE,
    JOB_SECONDS,
    JVM_BASE,
    JVM_GARBAGE,
    JVM_OUTSIDE,
    JVM_PER_BYTE,
    JVM_PER_FETCHED_BYTE,
    JVM_PER_FIRST_BYTE,
    PACK_PER_BYTE,
    READ_PER_BYTE,
    REPORT_PER_POINT,
    ROUTE_PER_BYTE,
    SCAN_PER_BYTE,
    SHIP_PER_BYTE,
    WORKER_BASE,
    WRITE_SECONDS,
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
from jobs.tuning.families import n_leaves, n_sampled
from udfs.kernels.cells import LARGEST_CELL
from udfs.kernels.nearest import RUN_ROWS
from udfs.kernels.sources import BLOCK_ROWS
from udfs.kernels.start import GRAM_CANDIDATES, OVERSAMPLING

# As the stages themselves have them; tests compare.
EVALUATED_ROWS = 10_000
MAX_COMPARED = 50_000
N_CLUSTERINGS = 3
_COVERAGE_PAIRS = 30.0  # passes over the evaluated rows: 3 resampling rounds and what follows
_TUNE_PASSES = 60.0  # over the hash sample at all its leaves, all rungs together
_TUNE_DRAWS = 60.0  # draws that are compared with the rows they are judged by

BIN_COPIES = 3.0  # of a bin's vectors in a worker: as they come, joined, as they go
CELL_SKEW = LARGEST_CELL  # the largest cell, in mean cells
# Bytes per component of a centroid in a task: itself, the GEMM's side, sums and their result.
FLAT_BYTES = 4 + 4 + 8 + 8 + 8
LEAF_BYTES = 4 + 4 + 4  # as assignment holds every leaf: as shipped, by cell, the GEMM's side
ASSIGNED_BYTES = 8 + 8 + 4 + 8  # a point in the driver: id, leaf, where its path begins, distance
TREE_BYTES = 24  # per component of a node on the driver: solved, joined, written


def estimate(problem: Problem, machine: Machine) -> list[Part]:
    """Estimate a whole run, in the order of its stages."""
    return [*_Estimator(problem, machine).parts()]


class _Estimator:
    """Sizes and speed at hand for every part."""

    def __init__(self, problem: Problem, machine: Machine) -> None:
        self.problem, self.machine = problem, machine
        self.n, self.d = problem.n_points, problem.n_features
        self.cluster = problem.config.cluster
        self.n_bytes = float(problem.n_bytes)
        self.n_blocks = -(-self.n // BLOCK_ROWS)
        self.tree_bytes = TREE_BYTES * self.d * float(sum(self.cluster.levels))
        # elsewhere the points stay on the executors, and the driver's JVM passes on the tree
        filled = self.tree_bytes
        if machine.is_local:
            garbage = min(JVM_GARBAGE, JVM_PER_FIRST_BYTE * self.n_bytes)
            filled = garbage + JVM_PER_BYTE * self.n_bytes
        filled += JVM_PER_FETCHED_BYTE * self.n_bytes * problem.is_local
        self.jvm = JVM_BASE + (1 + JVM_OUTSIDE) * min(machine.heap, filled)

    def parts(self) -> Iterator[Part]:
        yield self._spark("embed_pool", "embed", EMBED_PER_BYTE, cold=True, tables=2, shuffles=2)
        if self.problem.is_tuned:
            yield self._tune()
        if not self.problem.is_local and not self.cluster.cells_at(1):
            packing = self._bins()
            yield self._spark("cluster_levels", "pack", PACK_PER_BYTE, shuffles=1, worker=packing)
        for t in range(1, len(self.cluster.levels) + 1):
            yield from self._level(t)
        yield self._assign()
        yield self._spark("balance_sample", "draw", 0, DRAW_PER_POINT, tables=3)
        yield self._report()

    def _spark(
        self,
        stage: str,
        part: str,
        per_byte: float,
        per_point: float = 0.0,
        *,
        tables: int = 1,
        shuffles: int = 0,
        worker: float = 0.0,
        cold: bool = False,
        seconds: float = 0.0,
        **others: float,
    ) -> Part:
        """Estimate a part that Spark does once over the pool."""
        work = (per_byte * self.n_bytes + per_point * self.n) / self.machine.n_slots
        seconds += work + tables * WRITE_SECONDS + 2 * EVENT_SECONDS + cold * COLD_SECONDS
        sizes = {"flops": 0.0, "shipped": 0.0, "driver": 0.0} | others
        sizes["driver"] += DRIVER_BASE
        return Part(
            stage, part, None, "spark", self.n_blocks, 1.0,
            worker=WORKER_BASE + worker, jvm=self.jvm, seconds=seconds,
            shuffled=shuffles * self.n_bytes, **sizes,
        )  # fmt: skip

    def _tune(self) -> Part:
        """Estimate the search for a tree on a hash sample."""
        rows = n_sampled(self.n, self.d)
        wanted = max(s.target_size for s in self.problem.config.samples)
        drawn = min(rows, wanted * rows / self.n)
        pairs = _TUNE_PASSES * rows * n_leaves(rows)
        pairs += min(rows, EVALUATED_ROWS) * (_TUNE_DRAWS * drawn + _COVERAGE_PAIRS * 3 * 1000)
        seconds = pairs * self.machine.speed.pair_seconds / self.machine.n_threads
        return self._spark(
            "tune_tree", "search", SCAN_PER_BYTE, seconds=seconds, flops=2.0 * self.d * pairs,
            driver=3 * 4.0 * self.d * rows,
        )  # fmt: skip

    def _bins(self) -> float:
        """Give what a worker holds while it packs a bin."""
        n_bins = n_packing_bins(self.problem.n_bytes, self.n_blocks, self.machine.n_slots)
        return BIN_COPIES * self.n_bytes / n_bins

    def _level(self, t: int) -> Iterator[Part]:
        """Estimate the parts of one level, in memory or on Spark."""
        n_rows = self.problem.inputs_of(t)
        is_local = self.problem.is_local or t > 1
        is_split = self.cluster.cells_at(t) > 0
        solve = split_level if is_split else flat_level
        kept = n_resampled(n_rows, t, self.cluster)
        for name, passes in solve(n_rows, t, self.d, self.cluster, remembers=is_local).items():
            fetches = is_local and t == 1 and name == "start"
            if is_local:
                yield self._in_memory(t, name, n_rows, passes, fetches=fetches)
            elif name == "resampling" and comes_to_driver(4 * kept * self.d):
                yield self._in_memory(t, name, int(kept), passes, fetches=False)
            elif is_split and name == "start":
                yield self._on_sample(t, n_rows, passes)
            else:
                yield self._on_spark(t, name, n_rows, passes)

    def _in_memory(self, t: int, name: str, n_rows: int, passes: Passes, *, fetches: bool) -> Part:
        n_threads = self.machine.n_threads
        seconds = self._work(passes) / n_threads + passes.calls * CALL_SECONDS + passes.serial
        seconds += fetches * FETCH_PER_BYTE * self.n_bytes
        k, n_bytes = float(self.cluster.levels[t - 1]), 4.0 * n_rows * self.d
        kept = 0.0 if name in ("start", "iterations") else n_bytes / 2  # a resampled subset
        if n_cells := self._cells(t):  # a thread has one cell in hand
            kept, k = CELL_SKEW * n_threads * n_bytes / n_cells, n_cells
        held = FETCHED_COPIES * n_bytes + kept + n_threads * self.d * k * FLAT_BYTES
        if name == "breathing":  # a look around is float64, rows by centroids
            held += n_threads * 3 * 8.0 * k * RUN_ROWS
        return self._part(
            t, name, "local", n_rows, passes, seconds=seconds, worker=0.0, driver=held
        )

    def _on_sample(self, t: int, n_rows: int, passes: Passes) -> Part:
        """Estimate the fit of the cells, on a sample that the driver fetches."""
        machine, n_cells = self.machine, self.cluster.cells_at(t)
        seconds = (
            self._work(passes) / machine.n_threads + passes.calls * CALL_SECONDS + passes.serial
        )
        seconds += READ_PER_BYTE * 4.0 * n_rows * self.d / machine.n_slots + JOB_SECONDS
        held = FETCHED_COPIES * 4.0 * self.d * n_in_sample(n_rows, t, self.cluster)
        held += machine.n_threads * self.d * n_cells * FLAT_BYTES
        return self._part(
            t, "start", "spark", n_rows, passes, seconds=seconds, worker=0.0, driver=held
        )

    def _on_spark(self, t: int, name: str, n_rows: int, passes: Passes) -> Part:
        machine, k, n_cells = self.machine, self.cluster.levels[t - 1], self._cells(t)
        n_bytes, shipped = 4.0 * n_rows * self.d, 4.0 * self.d * passes.shipped
        work = self._work(passes) + SHIP_PER_BYTE * shipped * machine.n_slots
        if n_cells:
            work += ROUTE_PER_BYTE * n_bytes
            n_bins = n_solving_bins(int(n_bytes), int(n_cells), machine.n_slots)
            worker = BIN_COPIES * max(n_bytes / n_bins, self._largest_cell(n_bytes, n_cells))
            gathered = 0.0  # the leaves, which are counted with the tree
        else:
            work += FILE_PER_BYTE * n_bytes * passes.n_passes
            worker = float(FLAT_BYTES * self.d * k)
            # as many tasks as slots; the sums of each come back, as bytes and as arrays
            gathered = 16.0 * self.d * k * machine.n_slots
        seconds = work / machine.n_slots + passes.calls * JOB_SECONDS + passes.serial
        return self._part(
            t, name, "spark", n_rows, passes, seconds=seconds, worker=worker, driver=gathered,
            shipped=shipped, shuffled=n_bytes if n_cells else 0.0,
        )  # fmt: skip

    def _work(self, passes: Passes) -> float:
        """Give the seconds of one slot."""
        speed = self.machine.speed
        return passes.rows * speed.row_seconds + passes.cost * speed.pair_seconds

    def _cells(self, t: int) -> float:
        return cells_of(self.problem.inputs_of(t), t, self.d, self.cluster)

    def _largest_cell(self, n_bytes: float, n_cells: float) -> float:
        """Give the bytes of vectors that the largest cell is likely to hold."""
        allowed = 4.0 * self.d * max_cell_rows(self.cluster, self.d)
        return min(allowed, n_bytes, CELL_SKEW * n_bytes / n_cells)

    def _part(
        self,
        t: int,
        name: str,
        solver: str,
        n_rows: int,
        passes: Passes,
        *,
        seconds: float,
        worker: float,
        driver: float,
        shipped: float = 0.0,
        shuffled: float = 0.0,
    ) -> Part:
        candidates = OVERSAMPLING * (self.cluster.cells_at(t) or self.cluster.levels[t - 1])
        if passes.serial and candidates <= GRAM_CANDIDATES:  # all distances between them are kept
            driver += 8.0 * candidates**2
        return Part(
            "cluster_levels", name, t, solver, -(-n_rows // BLOCK_ROWS), passes.n_passes,
            flops=2.0 * self.d * passes.pairs, shipped=shipped, shuffled=shuffled,
            worker=WORKER_BASE + worker if worker else 0.0,
            driver=DRIVER_BASE + driver + self.tree_bytes, jvm=self.jvm, seconds=seconds,
        )  # fmt: skip

    def _assign(self) -> Part:
        """Estimate the tables of the tree, written together; points in the driver stay there."""
        k, n_cells = self.cluster.levels[0], self._cells(1)
        near = n_cells + k / n_cells if n_cells else k  # centroids that a point is compared with
        is_split = n_cells > 0
        speed, pairs = self.machine.speed, near * self.n
        work = (1 + is_split) * self.n * speed.row_seconds + pairs * speed.pair_seconds
        leaves = LEAF_BYTES * self.d * float(k)
        if self.problem.is_local:
            labelled = self.n_bytes + self.n * (ASSIGNED_BYTES + 8.0 * len(self.cluster.levels))
            worker, driver, shipped = 0.0, leaves + labelled, 0.0
            per_byte, seconds = 0.0, work / self.machine.n_threads
        else:
            worker, driver, shipped = leaves, 0.0, 4.0 * self.d * (k + n_cells)
            per_byte, seconds = READ_PER_BYTE, work / self.machine.n_slots + SHIP_PER_BYTE * shipped
        return self._spark(
            "cluster_levels", "assign", per_byte, ASSIGN_PER_POINT, tables=3 + is_split,
            seconds=seconds, flops=2.0 * self.d * pairs, shipped=shipped, worker=worker,
            driver=self.tree_bytes + driver,
        )  # fmt: skip

    def _report(self) -> Part:
        """Estimate coverage and the page."""
        rows = min(self.n, EVALUATED_ROWS)
        compared = min(MAX_COMPARED, max(s.target_size for s in self.problem.config.samples))
        compared = min(compared, self.n)
        pairs = N_CLUSTERINGS * rows * (_COVERAGE_PAIRS * min(1000, rows / 10) + 2.0 * compared)
        seconds = pairs * self.machine.speed.pair_seconds / self.machine.n_threads
        return self._spark(
            "report_curation", "report", SCAN_PER_BYTE, REPORT_PER_POINT, tables=4,
            seconds=seconds, flops=2.0 * self.d * pairs,
            driver=4.0 * self.d * N_CLUSTERINGS * (2 * rows + 2 * compared),
        )  # fmt: skip
