"""Block sources: where a solver's points live. The protocols, and the source in memory."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import Field, dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import RUN_ROWS, Centroids
from udfs.kernels.passes.step import Arrays, Step, block_of, positions, renumbered
from udfs.kernels.passes.steps.members import LabelPoints

BLOCK_ROWS = 312  # mean rows of a block: blocks of 250-380 rows keep sgemm near its peak


class Batch(NamedTuple):
    """The blocks with block_id % n_batches < size: larger batches contain smaller ones."""

    size: int
    n_batches: int


class CellProblem(Protocol):
    """A problem that splits into cells, each solved on its own points; a dataclass.

    Picklable except for its centroids, which are shipped separately.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def centroids(self) -> Centroids:
        """The cells' centroids: a point belongs to the nearest."""

    @property
    def n_points(self) -> NDArray[np.int64]:
        """Points in each cell : (n_cells,)."""

    @property
    def copied(self) -> Mapping[int, NDArray[np.float32]]:
        """The cells with so many copies of the centroid that these are only counted."""

    def solve(self, cell: int, points: "LocalBlocks", n_copies: int = 0) -> Arrays:
        """Solve one cell, given its points and the number of centroid copies left out of them."""


class Source(Protocol):
    """Points, wherever they are; every implementation gives the same bits."""

    @property
    def solver(self) -> str:
        """Its name in ``iterations``."""

    @property
    def n_rows(self) -> int:
        """Points in all blocks."""

    @property
    def n_features(self) -> int:
        """Length of the vectors."""

    @property
    def n_blocks(self) -> int:
        """Block ids lie below this, though some blocks may be empty."""

    def release(self) -> None:
        """Free what the source holds."""


class Passable(Protocol):
    """What passes can be run over."""

    @property
    def remembers(self) -> bool:
        """Whether memories (``exact.memory``) outlive a pass; on executors they do not."""

    def reduce(self, step: Step) -> Arrays:
        """Run one pass."""


class BlockSource(Source, Passable, Protocol):
    """The source of a level solved as a whole: many passes over blocks."""

    def part(self, batch: Batch) -> Passable:
        """Return some of the blocks, for passes over those alone."""

    def take(self, wanted: NDArray[np.int64]) -> "BlockSource":
        """Return a source of the points at these positions (n,); blocks keep their ids."""


class CellSource(Source, Protocol):
    """The source of a level solved in cells: a sample, and a pass that gathers cells' points."""

    def head(self, n_blocks: int) -> "LocalBlocks":
        """Bring the first blocks into memory: a sample by hash."""

    def solve(self, problem: CellProblem) -> list[Arrays]:
        """Gather every cell's points and solve it; the results in order of cell."""


@dataclass(frozen=True, eq=False)
class LocalBlocks:
    """Points in this process's memory, processed by a pool of threads: a source of both kinds.

    Attributes
    ----------
    positions : (n_rows,) int64, ascending
    X : (n_rows, n_features) float32, grid coordinates
    """

    positions: NDArray[np.int64]
    X: NDArray[np.float32]
    n_blocks: int
    n_threads: int = 1
    solver = "local"
    remembers = True

    @property
    def n_rows(self) -> int:
        """Points in all blocks."""
        return len(self.X)

    @property
    def n_features(self) -> int:
        """Length of the vectors."""
        return int(self.X.shape[1])

    def reduce(self, step: Step) -> Arrays:
        """Run one pass; tasks take every n_threads-th run of rows."""
        where, X = self.positions, self.X
        starts = range(0, len(X), RUN_ROWS)
        n_tasks = max(1, min(self.n_threads, len(starts)))

        def task(index: int) -> Arrays:
            share = step.begin()
            for start in starts[index::n_tasks]:
                share.add(where[start : start + RUN_ROWS], X[start : start + RUN_ROWS])
            return share.result()

        return step.merge(in_threads(task, range(n_tasks), n_tasks))

    def part(self, batch: Batch) -> "LocalBlocks":
        """Return a source of some of the blocks."""
        if batch.size >= batch.n_batches:
            return self
        chosen = block_of(self.positions) % batch.n_batches < batch.size
        return LocalBlocks(self.positions[chosen], self.X[chosen], self.n_blocks, self.n_threads)

    def take(self, wanted: NDArray[np.int64]) -> "LocalBlocks":
        """Return a source of the points at these positions : (n,)."""
        X = self.X[np.searchsorted(self.positions, wanted)]
        return LocalBlocks(renumbered(wanted), X, self.n_blocks, self.n_threads)

    def head(self, n_blocks: int) -> "LocalBlocks":
        """Return the first blocks."""
        stop = int(np.searchsorted(self.positions, np.int64(n_blocks) << 32))
        return LocalBlocks(self.positions[:stop], self.X[:stop], n_blocks, self.n_threads)

    def solve(self, problem: CellProblem) -> list[Arrays]:
        """Solve every cell, the largest first."""
        labels = self.reduce(LabelPoints(problem.centroids))["labels"]
        rows = np.argsort(labels, kind="stable")
        n_points = np.bincount(labels)
        stops = np.cumsum(n_points)

        def task(cell: int) -> Arrays:
            mine = rows[stops[cell] - n_points[cell] : stops[cell]]
            return problem.solve(cell, blocks_of(self.X[mine]))

        largest_first = np.argsort(-n_points, kind="stable")
        solved = in_threads(task, largest_first.tolist(), self.n_threads)
        return [solved[i] for i in np.argsort(largest_first)]

    def release(self) -> None:
        """Nothing to do: memory goes with the object."""


def in_threads(
    task: Callable[[int], Arrays], arguments: Sequence[int], n_threads: int
) -> list[Arrays]:
    """Map a function over its arguments, in this thread or in several."""
    if n_threads == 1:
        return [task(i) for i in arguments]
    return list(_threads(n_threads).map(task, arguments))


@cache
def _threads(n_threads: int) -> ThreadPoolExecutor:
    """Keep threads from pass to pass: starting them costs as much as a small pass."""
    return ThreadPoolExecutor(n_threads)


def blocks_of(X: NDArray[np.float32], n_threads: int = 1) -> LocalBlocks:
    """Cut one matrix (n_rows, n_features), in its own order, into blocks of BLOCK_ROWS."""
    n_blocks = max(1, -(-len(X) // BLOCK_ROWS))
    edges = np.arange(n_blocks + 1) * len(X) // n_blocks
    where = positions(np.arange(n_blocks), edges[1:] - edges[:-1])
    return LocalBlocks(where, X, n_blocks, n_threads)
