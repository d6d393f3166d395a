"""Blocks on the executors: passes over them, points taken from them, results on their way back."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.nearest import RUN_ROWS, Centroids
from udfs.kernels.passes import Arrays, block_of, positions
from udfs.points import Batches, OnBatches, Points
from udfs.shipping import Shipped

SOURCE_SCHEMA = "block_id int, n_rows int, vectors binary"
REDUCE_SCHEMA = "payload binary"


def make_reduce(step: Any, centroids: Shipped, n_features: int) -> OnBatches:
    """Make the function that runs one pass's share over a task's blocks.

    Parameters
    ----------
    step : a step of ``udfs.kernels.steps``, its centroids left out
    centroids : what was left out
    """

    def reduce_blocks(batches: Batches) -> Batches:
        share = replace(step, centroids=Centroids(centroids.get())).begin()
        is_empty = True
        for batch in batches:
            where, X = points_in(batch, n_features)
            for start in range(0, len(X), RUN_ROWS):
                share.add(where[start : start + RUN_ROWS], X[start : start + RUN_ROWS])
                is_empty = False
        if not is_empty:
            payload = [to_bytes(share.result())]
            yield pa.RecordBatch.from_arrays([pa.array(payload, pa.binary())], names=["payload"])

    return reduce_blocks


def make_take(wanted: Shipped, n_features: int) -> OnBatches:
    """Make the function that keeps only the points at these sorted positions."""

    def take(batches: Batches) -> Batches:
        kept = wanted.get()
        for batch in batches:
            where, X = points_in(batch, n_features)
            place = np.searchsorted(kept, where)
            chosen = kept[np.minimum(place, len(kept) - 1)] == where
            yield source_batch(where[chosen], X[chosen])

    return take


def points_in(batch: pa.RecordBatch, n_features: int) -> Points:
    """Give the points of a batch of blocks : (n,) positions, (n, d), a view of its memory."""
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
    """Give points, block after block in any order, as the rows of SOURCE_SCHEMA."""
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
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def from_bytes(content: bytes) -> Arrays:
    """Give arrays back from .npz, without pickle."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
