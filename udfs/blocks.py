"""Blocks on the executors: passes over them, points taken from them, results sent back."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import RUN_ROWS, Centroids
from udfs.kernels.passes.sources import LocalBlocks
from udfs.kernels.passes.step import Arrays, block_of, positions, renumbered
from udfs.kernels.passes.steps.sums import added, divided
from udfs.points import Batches, OnBatches, Points, gathered, in_one_row, put_in_order
from udfs.shipping import Shipped

SOURCE_SCHEMA = "block_id int, n_rows int, vectors binary"
REDUCE_SCHEMA = "range int, payload binary, missing binary"
CHOSEN_SCHEMA = "positions binary, vectors binary"

Missing = list[bytes]  # int32 ids of the blocks that a reader could not find
Read = Callable[[Batches, Missing], Iterator[Points]]


@dataclass(frozen=True)
class FromRows:
    """Reads the points of blocks in rows of SOURCE_SCHEMA, RUN_ROWS at a time."""

    n_features: int

    def __call__(self, batches: Batches, missing: Missing) -> Iterator[Points]:
        """Read them all: none can be missing."""
        for batch in batches:
            where, X = points_in(batch, self.n_features)
            for start in range(0, len(X), RUN_ROWS):
                yield where[start : start + RUN_ROWS], X[start : start + RUN_ROWS]


def make_reduce(
    step: Any, centroids: Shipped, read: Read, ranges: NDArray[np.int64] | None = None
) -> OnBatches:
    """Return a function that runs one pass's share over a task's blocks.

    Parameters
    ----------
    step : a step of ``udfs.kernels.passes.steps``, without its centroids
    centroids : the step's
    ranges : (n_ranges,) first cluster of each range that sums are cut into; one row per range
    """

    def reduce_blocks(batches: Batches) -> Batches:
        share = replace(step, centroids=Centroids(centroids.get())).begin()
        missing: Missing = []
        is_empty = True
        for where, X in read(batches, missing):
            share.add(where, X)
            is_empty = False
        if missing or not is_empty:
            parts = [share.result()]
            if ranges is not None:
                parts = divided(parts[0], ranges)
            yield from _as_rows(parts, missing)

    return reduce_blocks


def make_add_up() -> OnBatches:
    """Return a function that adds up the sums sent to this task, into one row."""

    def add_up(batches: Batches) -> Batches:
        total: list[Arrays] = []
        missing: Missing = []
        for batch in batches:
            for payload in batch.column("payload"):
                total = [added([*total, from_bytes(payload.as_py())])]
            missing += batch.column("missing").to_pylist()
        if total:
            yield from _as_rows(total, missing)

    return add_up


def _as_rows(parts: Sequence[Arrays], missing: Missing) -> Batches:
    """Return results as rows of REDUCE_SCHEMA; the first lists the missing blocks."""
    for i, part in enumerate(parts):
        missed = b"" if i else b"".join(missing)
        row = {"range": pa.array([i], pa.int32()), "payload": [to_bytes(part)], "missing": [missed]}
        yield pa.RecordBatch.from_pydict(row)


def make_choose(wanted: Shipped, read: Read) -> OnBatches:
    """Return a function that yields the points at these sorted positions, rows of CHOSEN_SCHEMA."""

    def choose(batches: Batches) -> Batches:
        kept = wanted.get()
        for where, X in read(batches, []):
            chosen = _are_in(kept, where)
            yield in_one_row(positions=where[chosen], vectors=X[chosen])

    return choose


def brought(table: pa.Table, n_features: int, n_blocks: int, n_threads: int) -> LocalBlocks:
    """Put chosen points into blocks in memory, in order of position."""
    values = gathered(table.to_batches(), positions="i8", vectors="f4")
    where = np.concatenate([np.empty(0, np.int64), *values["positions"]])
    fragments = [v.reshape(-1, n_features) for v in values["vectors"]]
    order = np.argsort(where)
    X = put_in_order(fragments, order, n_features)
    return LocalBlocks(renumbered(where[order]), X, n_blocks, n_threads)


def make_take(wanted: Shipped, n_features: int) -> OnBatches:
    """Return a function that keeps only the points at these sorted positions, block by block."""

    def take(batches: Batches) -> Batches:
        kept = wanted.get()
        for batch in batches:
            where, X = points_in(batch, n_features)
            chosen = _are_in(kept, where)
            yield source_batch(where[chosen], X[chosen])

    return take


def _are_in(kept: NDArray[np.int64], where: NDArray[np.int64]) -> NDArray[np.bool_]:
    place = np.searchsorted(kept, where)
    return np.asarray(kept[np.minimum(place, len(kept) - 1)] == where)


def points_in(batch: pa.RecordBatch, n_features: int) -> Points:
    """Return the points of a batch of blocks : (n,) positions, (n, d), a view of its memory."""
    if batch.num_rows == 0:
        return np.empty(0, np.int64), np.empty((0, n_features), np.float32)
    block_ids, n_rows = (batch.column(name).to_numpy() for name in ("block_id", "n_rows"))
    where = positions(block_ids, n_rows)
    vectors = batch.column("vectors")
    offsets = np.frombuffer(vectors.buffers()[1], np.int32)
    first = offsets[vectors.offset]
    values = np.frombuffer(vectors.buffers()[2], np.float32, len(where) * n_features, first)
    return where, values.reshape(-1, n_features)


def source_batch(where: NDArray[np.int64], X: NDArray[np.float32]) -> pa.RecordBatch:
    """Return points (n,), (n, d), grouped by block in any block order, as rows of SOURCE_SCHEMA."""
    blocks = block_of(where)
    starts = np.flatnonzero(np.r_[len(blocks) > 0, blocks[1:] != blocks[:-1]])
    block_ids, n_rows = blocks[starts], np.diff(np.append(starts, len(where)))
    return pa.RecordBatch.from_arrays(
        [
            pa.array(block_ids.astype(np.int32)),
            pa.array(n_rows.astype(np.int32)),
            pa.array([x.tobytes() for x in np.split(X, starts[1:])][: len(starts)], pa.binary()),
        ],
        names=["block_id", "n_rows", "vectors"],
    )


def to_bytes(arrays: Arrays) -> bytes:
    """Serialise arrays as .npz, without pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # a name could be an option's
    return buffer.getvalue()


def from_bytes(content: bytes) -> Arrays:
    """Read arrays back from .npz, without pickle."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
