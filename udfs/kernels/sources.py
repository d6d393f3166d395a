"""Block sources: where a solver's points live. Here the protocol and the one in memory."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.passes import Arrays, Step, row_of

BLOCK_ROWS = 312  # mean rows of a block: blocks of 250-380 rows keep sgemm near its peak


class Block(NamedTuple):
    """Some points : X (n_rows, n_features) float32, grid coordinates."""

    block_id: int
    X: NDArray[np.float32]


class Batch(NamedTuple):
    """The blocks with block_id % n_batches == number."""

    number: int
    n_batches: int


class BlockSource(Protocol):
    """Points in blocks, wherever they are; every implementation gives the same bits."""

    @property
    def solver(self) -> str:
        """What ``iterations`` calls it."""

    @property
    def n_rows(self) -> int:
        """Points in all blocks."""

    @property
    def n_features(self) -> int:
        """Length of the vectors."""

    @property
    def n_blocks(self) -> int:
        """Block ids lie below this, though some blocks may be empty."""

    def reduce(self, step: Step, batch: Batch | None = None) -> Arrays:
        """Run one pass over all blocks, or over a batch of them."""

    def take(self, positions: NDArray[np.int64]) -> "BlockSource":
        """Give a source of only these points; blocks keep their ids."""

    def release(self) -> None:
        """Free what the source holds."""


@dataclass(frozen=True, eq=False)
class LocalBlocks:
    """Blocks in this process's memory, passed over by a pool of threads."""

    blocks: Sequence[Block]
    n_features: int
    n_blocks: int
    n_threads: int = 1
    solver = "local"

    @property
    def n_rows(self) -> int:
        """Points in all blocks."""
        return sum(len(block.X) for block in self.blocks)

    def reduce(self, step: Step, batch: Batch | None = None) -> Arrays:
        """Run one pass; tasks take every n_threads-th block."""
        blocks = [
            block
            for block in self.blocks
            if batch is None or block.block_id % batch.n_batches == batch.number
        ]

        def task(index: int) -> Arrays:
            share = step.begin()
            for block in blocks[index :: self.n_threads]:
                share.add(block.block_id, block.X)
            return share.result()

        if self.n_threads == 1 or len(blocks) < 2:
            return step.merge([task(i) for i in range(self.n_threads)])
        with ThreadPoolExecutor(self.n_threads) as pool:
            return step.merge(list(pool.map(task, range(self.n_threads))))

    def take(self, positions: NDArray[np.int64]) -> "LocalBlocks":
        """Give a source of only these points."""
        taken = [Block(b, X[rows_in_block(positions, b)]) for b, X in self.blocks]
        return LocalBlocks(taken, self.n_features, self.n_blocks, self.n_threads)

    def release(self) -> None:
        """Nothing to do: memory goes with the object."""


def rows_in_block(positions: NDArray[np.int64], block_id: int) -> NDArray[np.int64]:
    """Give the rows of one block among sorted positions, in order."""
    edges = np.array([block_id, block_id + 1], dtype=np.int64) << 32
    start, stop = np.searchsorted(positions, edges)
    return row_of(positions[start:stop])


def blocks_of(X: NDArray[np.float32], n_threads: int = 1) -> LocalBlocks:
    """Cut one matrix, in its own order, into blocks of BLOCK_ROWS."""
    n_blocks = max(1, -(-len(X) // BLOCK_ROWS))
    blocks = [Block(i, part) for i, part in enumerate(np.array_split(X, n_blocks))]
    return LocalBlocks(blocks, X.shape[1], n_blocks, n_threads)
