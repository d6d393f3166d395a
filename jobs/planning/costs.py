"""What each stage will cost: blocks, passes, bytes, peak memory, seconds.

Each function is the ``cost`` of one stage's declaration.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from jobs.clustering.sizes import LOCAL_BYTES, is_routed, n_packing_bins, n_solving_bins
from jobs.planning.level_parts import BIN_COPIES, CELL_SKEW, level_parts, tree_bytes
from jobs.planning.machine import (
    ASSIGN_PER_POINT,
    COLD_SECONDS,
    DRAW_PER_POINT,
    DRIVER_BASE,
    EMBED_PER_BYTE,
    EVENT_SECONDS,
    FETCH_PER_BYTE,
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
from jobs.planning.passes import cells_of
from jobs.planning.problem import Part, Problem
from jobs.tuning.families import n_leaves, n_sampled
from udfs.kernels.near.cells import SAMPLE_PER_CELL, n_cells_for
from udfs.kernels.passes.sources import BLOCK_ROWS

# Copies of the stages' own constants; tests compare them.
EVALUATED_ROWS = 10_000
MAX_COMPARED = 50_000
N_CLUSTERINGS = 3
GUARDED_ROWS = 8192
_COVERAGE_PAIRS = 30.0  # passes over the evaluated rows: 3 resampling rounds and what follows
_TUNE_PASSES = 60.0  # passes over the hash sample against all its leaves, all rungs together
_TUNE_DRAWS = 60.0  # draws compared with the rows that judge them
_SEARCHED = 2.5  # cells of a point, at most three
_CELLS_UNEVEN = 1.5  # pairs in cells of unequal size, over those in equal ones
_NEAR_COPIES = 6.0  # copies of the vectors in a search on the driver: fetched, in cells, sorted
_GUARD_PER_POINT = 2e-5  # seconds to find a place in a batch
_COMMUNITY_SECONDS = 1e-4  # a point: the communities of its neighbour graph

LEAF_BYTES = 4 + 4 + 4  # a leaf's copies during assignment: as shipped, by cell, the GEMM's side
ASSIGNED_BYTES = 8 + 8 + 4 + 8  # a point in the driver: id, leaf, offset of its path, distance


class Priced(Protocol):
    """A stage, as the planner sees it."""

    @property
    def cost(self) -> Any:
        """Its parts of a plan; None for a stage whose cost is not worth a line."""


def estimate(problem: Problem, machine: Machine, stages: Iterable[Priced]) -> list[Part]:
    """Return the estimated parts of a whole run, in the order of its stages."""
    sizes = Sizes(problem, machine)
    return [part for stage in stages if stage.cost is not None for part in stage.cost(sizes)]


def embed(sizes: "Sizes") -> Iterator[Part]:
    """Estimate the embedding of the pool."""
    per_row, model = sizes.problem.row_seconds, sizes.problem.model_bytes
    yield sizes.spark(
        "embed_pool", "embed", EMBED_PER_BYTE, per_row, cold=True, tables=2, shuffles=2,
        worker=model, driver=model,
    )  # fmt: skip


def deduplicate(sizes: "Sizes") -> Iterator[Part]:
    """Estimate the search for copies: exact ones by hash, near ones in each point's cells."""
    given = sizes.problem.config.dedup
    if given.exact:
        yield sizes.spark("find_duplicates", "exact copies", 0, DRAW_PER_POINT)
    if given.threshold is not None:
        yield sizes.near_copies()


def tune(sizes: "Sizes") -> Iterator[Part]:
    """Estimate the search for a tree."""
    yield sizes.search()


def cluster(sizes: "Sizes") -> Iterator[Part]:
    """Estimate growing the tree and labelling the points."""
    problem = sizes.problem
    if not problem.is_local and not sizes.cluster.cells_at(1):
        packing = sizes.bins()
        yield sizes.spark("cluster_levels", "pack", PACK_PER_BYTE, shuffles=1, worker=packing)
    for t in range(1, len(sizes.cluster.levels) + 1):
        yield from level_parts(problem, t, sizes.machine, jvm=sizes.jvm)
    yield sizes.assign()


def draw(sizes: "Sizes") -> Iterator[Part]:
    """Estimate drawing the samples."""
    ordered = sizes.problem.ordered_bytes
    yield sizes.spark("balance_sample", "draw", 0, DRAW_PER_POINT, tables=3, driver=ordered)


def report(sizes: "Sizes") -> Iterator[Part]:
    """Estimate coverage and the page."""
    yield sizes.coverage()


def draw_round(sizes: "Sizes") -> Iterator[Part]:
    """Estimate a round of draws from ready losses: it shuffles ids and losses, not vectors."""
    yield sizes.spark("score_learnability", "a round", 0, DRAW_PER_POINT, tables=5)


def draw_batches(sizes: "Sizes") -> Iterator[Part]:
    """Estimate selected batches: products of each chunk with its super-batch, twice for each model.

    The embeddings are taken to be as long as the pool's.
    """
    given = sizes.problem.config.batches
    n_whole = sizes.n // max(1, given.super_size)
    n_batches = min(given.batches_per_round or n_whole, n_whole)
    flops = 8.0 * sizes.d * given.n_admitted * given.drawn_size * n_batches
    yield sizes.spark(
        "select_batches", "draw", 4 * SHIP_PER_BYTE, flops=flops, shuffles=2, tables=4,
        seconds=flops * sizes.machine.speed.pair_seconds / (2.0 * sizes.d * sizes.machine.n_slots),
        worker=16.0 * sizes.d * given.super_size,
    )  # fmt: skip


def contrast(sizes: "Sizes") -> Iterator[Part]:
    """Estimate Divide and Contrast: a pass of moments for the base, two a round, one to write.

    The views are taken to be as long as the pool's embeddings.
    """
    given, d = sizes.problem.config.contrast, float(sizes.d)
    rows, study = min(sizes.n, given.student.rows), given.student
    flops = 2 * d * d * sizes.n * (1 + 2 * given.rounds)
    # forward, back to the units and to the weights; on the driver, as are the controls
    learned = 6 * d * study.hidden * study.epochs * rows * (given.rounds + 2)
    speed = sizes.machine.speed.pair_seconds / (2.0 * d)  # seconds per FLOP
    moments = 16 * d * d * given.n_clusters
    yield sizes.spark(
        "divide_contrast", "contrast", 3 * SHIP_PER_BYTE, flops=flops + learned,
        shuffles=1, tables=6, seconds=2 * speed * (flops / sizes.machine.n_slots + learned),
        worker=2 * moments, driver=moments + 40 * d * rows,
    )  # fmt: skip


def mine_negatives(sizes: "Sizes") -> Iterator[Part]:
    """Estimate batches of hard negatives: a shuffle of ids; with a guard, all pairs of each run."""
    given = sizes.problem.config.contrast.batches
    if given.max_cosine is None:
        yield sizes.spark("mine_negatives", "batches", SCAN_PER_BYTE, DRAW_PER_POINT, tables=2)
        return
    run = min(sizes.n, max(GUARDED_ROWS, 2 * given.size))
    pairs = sizes.n * run / 2.0
    yield sizes.spark(
        "mine_negatives", "batches", SCAN_PER_BYTE + ROUTE_PER_BYTE,
        DRAW_PER_POINT + _GUARD_PER_POINT, shuffles=2, tables=2, flops=2.0 * sizes.d * pairs,
        seconds=pairs * sizes.machine.speed.pair_seconds / sizes.machine.n_slots,
        worker=(8.0 * sizes.d + 4.0 * run / given.size) * run,
    )  # fmt: skip


class Sizes:
    """Sizes and speed, ready for every stage's cost."""

    def __init__(self, problem: Problem, machine: Machine) -> None:
        self.problem, self.machine = problem, machine
        self.n, self.d = problem.n_points, problem.n_features
        self.cluster = problem.config.cluster
        self.n_bytes = float(problem.n_bytes)
        self.n_blocks = -(-self.n // BLOCK_ROWS)
        self.tree_bytes = tree_bytes(problem)
        # on a cluster the points stay on the executors; the driver's JVM only passes on the tree
        filled = self.tree_bytes
        if machine.is_local:
            garbage = min(JVM_GARBAGE, JVM_PER_FIRST_BYTE * self.n_bytes)
            filled = garbage + JVM_PER_BYTE * self.n_bytes
        filled += JVM_PER_FETCHED_BYTE * self.n_bytes * problem.is_local
        self.jvm = JVM_BASE + (1 + JVM_OUTSIDE) * min(machine.heap, filled)

    def spark(
        self,
        stage: str,
        part: str,
        per_byte: float,
        per_point: float = 0.0,
        *,
        tables: int = 1,
        shuffles: float = 0,
        worker: float = 0.0,
        cold: bool = False,
        seconds: float = 0.0,
        **others: float,
    ) -> Part:
        """Estimate a part that is one Spark pass over the pool."""
        work = (per_byte * self.n_bytes + per_point * self.n) / self.machine.n_slots
        seconds += work + tables * WRITE_SECONDS + 2 * EVENT_SECONDS + cold * COLD_SECONDS
        sizes = {"flops": 0.0, "shipped": 0.0, "driver": 0.0} | others
        sizes["driver"] += DRIVER_BASE
        return Part(
            stage, part, None, "spark", self.n_blocks, 1.0,
            worker=WORKER_BASE + worker, jvm=self.jvm, seconds=seconds,
            shuffled=shuffles * self.n_bytes, **sizes,
        )  # fmt: skip

    def near_copies(self) -> Part:
        """Estimate the search for near copies."""
        n_cells, speed = n_cells_for(self.n), self.machine.speed
        in_cell = _SEARCHED * self.n / n_cells
        pairs = self.n * n_cells + _CELLS_UNEVEN * n_cells * in_cell**2 / 2
        work = 2 * self.n * speed.row_seconds + pairs * speed.pair_seconds
        sample = min(self.n, SAMPLE_PER_CELL * n_cells) * 4.0 * self.d
        if self.problem.n_bytes <= LOCAL_BYTES:
            return self.spark(
                "find_duplicates", "near copies", FETCH_PER_BYTE, DRAW_PER_POINT,
                seconds=work / self.machine.n_threads, flops=2.0 * self.d * pairs,
                driver=_NEAR_COPIES * self.n_bytes, gathered=self.n_bytes,
            )  # fmt: skip
        n_bins = n_solving_bins(
            round(_SEARCHED * self.problem.n_bytes), n_cells, self.machine.n_slots
        )
        return self.spark(
            "find_duplicates", "near copies", _SEARCHED * ROUTE_PER_BYTE, DRAW_PER_POINT,
            shuffles=_SEARCHED, seconds=work / self.machine.n_slots, flops=2.0 * self.d * pairs,
            shipped=4.0 * self.d * n_cells, driver=2 * sample, gathered=sample,
            worker=BIN_COPIES * CELL_SKEW * _SEARCHED * self.n_bytes / n_bins,
        )  # fmt: skip

    def search(self) -> Part:
        """Estimate the search for a tree on a hash sample."""
        rows = n_sampled(self.n, self.d)
        wanted = max(s.rows_of(self.n) for s in self.problem.config.samples)
        drawn = min(rows, wanted * rows / self.n)
        pairs = _TUNE_PASSES * rows * n_leaves(rows)
        judged = min(rows, EVALUATED_ROWS)
        pairs += judged * (_TUNE_DRAWS * drawn + _COVERAGE_PAIRS * 3 * 1000 + judged)
        seconds = pairs * self.machine.speed.pair_seconds / self.machine.n_threads
        seconds += _COMMUNITY_SECONDS * judged
        return self.spark(
            "tune_tree", "search", SCAN_PER_BYTE, seconds=seconds, flops=2.0 * self.d * pairs,
            driver=3 * 4.0 * self.d * rows, gathered=4.0 * self.d * rows,
        )  # fmt: skip

    def bins(self) -> float:
        """Return the bytes that a worker holds while packing a bin."""
        n_bins = n_packing_bins(self.problem.n_bytes, self.n_blocks, self.machine.n_slots)
        return BIN_COPIES * self.n_bytes / n_bins

    def assign(self) -> Part:
        """Estimate assignment and the tree's tables; points already in the driver stay there."""
        k, n_cells = self.cluster.levels[0], cells_of(self.n, 1, self.d, self.cluster)
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
        goes_to_cells = is_split and not self.problem.is_local and is_routed(k, self.d)
        if goes_to_cells:  # a task prepares the leaves of its own cells
            per_byte += ROUTE_PER_BYTE
            n_bins = n_solving_bins(self.problem.n_bytes, int(n_cells), self.machine.n_slots)
            worker = shipped + (leaves - shipped) * CELL_SKEW / n_bins
        return self.spark(
            "cluster_levels", "assign", per_byte, ASSIGN_PER_POINT, tables=3 + is_split,
            seconds=seconds, flops=2.0 * self.d * pairs, shipped=shipped, worker=worker,
            shuffles=goes_to_cells, driver=self.tree_bytes + driver,
        )  # fmt: skip

    def coverage(self) -> Part:
        """Estimate coverage and the page."""
        rows = min(self.n, EVALUATED_ROWS)
        compared = max(s.rows_of(self.n) for s in self.problem.config.samples)
        compared = min(MAX_COMPARED, compared, self.n)
        near = _COVERAGE_PAIRS * min(1000, rows / 10) + 3.0 * rows + 2.0 * compared
        pairs = N_CLUSTERINGS * rows * near
        seconds = pairs * self.machine.speed.pair_seconds / self.machine.n_threads
        seconds += N_CLUSTERINGS * _COMMUNITY_SECONDS * rows
        return self.spark(
            "report_curation", "report", SCAN_PER_BYTE, REPORT_PER_POINT, tables=4,
            seconds=seconds, flops=2.0 * self.d * pairs,
            driver=4.0 * self.d * N_CLUSTERINGS * (2 * rows + 2 * compared),
        )  # fmt: skip
