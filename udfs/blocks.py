"""Blocks on the executors: pack rows into them, run passes over them, label their points."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.grid import to_grid
from udfs.kernels.nearest import Centroids, nearest_centroids
from udfs.kernels.passes import Arrays
from udfs.kernels.sources import Block, rows_in_block
from udfs.shipping import Shipped

Batches = Iterator[pa.RecordBatch]
OnBatches = Callable[[Batches], Batches]

PACK_SCHEMA = "block_id int, n_rows int, ids array<{id}>, vectors binary"
SOURCE_SCHEMA = "block_id int, n_rows int, vectors binary"
REDUCE_SCHEMA = "payload binary"
ASSIGN_SCHEMA = "id {id}, leaf_id bigint, path array<bigint>, sq_distance double"


def make_pack(unit: float, n_features: int) -> OnBatches:
    """Make the function that packs (block_id, id, embedding) rows, sorted by block, into blocks.

    Vectors are put on the grid of ``unit``. A block's rows may be spread over batches.
    """

    def pack(batches: Batches) -> Batches:
        held: list[pa.RecordBatch] = []
        for batch in batches:
            if batch.num_rows == 0:
                continue
            held.append(batch)
            table = pa.Table.from_batches(held)
            block_ids = table["block_id"].to_numpy()
            last = int(np.searchsorted(block_ids, block_ids[-1]))  # the last block may go on
            if last:
                yield packed(table.slice(0, last))
                held = table.slice(last).to_batches()
        if held:
            yield packed(pa.Table.from_batches(held))

    def packed(table: pa.Table) -> pa.RecordBatch:
        block_ids = table["block_id"].to_numpy()
        starts = np.flatnonzero(np.r_[True, block_ids[1:] != block_ids[:-1]])
        stops = np.r_[starts[1:], len(block_ids)]
        values = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        X = to_grid(values.reshape(-1, n_features), unit)
        ids = table["id"].combine_chunks()
        offsets = pa.array(np.r_[starts, len(block_ids)], pa.int32())
        return pa.RecordBatch.from_arrays(
            [
                pa.array(block_ids[starts], pa.int32()),
                pa.array(stops - starts, pa.int32()),
                pa.ListArray.from_arrays(offsets, ids),
                pa.array([X[a:b].tobytes() for a, b in zip(starts, stops, strict=True)]),
            ],
            names=["block_id", "n_rows", "ids", "vectors"],
        )

    return pack


def make_reduce(step: Any, centroids: Shipped, n_features: int) -> OnBatches:
    """Make the function that runs one pass's share over a task's blocks.

    Parameters
    ----------
    step : a step of ``udfs.kernels.steps``, its centroids left out
    centroids : what was left out
    """

    def reduce_blocks(batches: Batches) -> Batches:
        share = replace(step, centroids=Centroids(centroids.get())).begin()
        n_blocks = 0
        for batch in batches:
            for block in blocks_in(batch, n_features):
                share.add(block.block_id, block.X)
                n_blocks += 1
        if n_blocks:
            payload = [to_bytes(share.result())]
            yield pa.RecordBatch.from_arrays([pa.array(payload, pa.binary())], names=["payload"])

    return reduce_blocks


def make_take(positions: Shipped, n_features: int) -> OnBatches:
    """Make the function that keeps only the points at these sorted positions."""

    def take(batches: Batches) -> Batches:
        wanted = positions.get()
        for batch in batches:
            taken = [Block(b, X[rows_in_block(wanted, b)]) for b, X in blocks_in(batch, n_features)]
            yield source_batch(taken)

    return take


def make_assign(centroids: Shipped, paths: NDArray[np.int64], n_features: int) -> OnBatches:
    """Make the function that labels every point of a task's blocks.

    Parameters
    ----------
    centroids : the leaves', grid coordinates
    paths : (n_leaves, n_levels) int64, each leaf's nodes from level 1 up
    """

    def assign(batches: Batches) -> Batches:
        leaves = Centroids(centroids.get())
        for batch in batches:
            ids = batch.column("ids")
            for i, (_, X) in enumerate(blocks_in(batch, n_features)):
                labels, sq_dist = nearest_centroids(X, leaves)
                path = pa.array(paths[labels].ravel())
                offsets = np.arange(len(labels) + 1, dtype=np.int32) * paths.shape[1]
                yield pa.RecordBatch.from_arrays(
                    [
                        ids[i].values,
                        pa.array(labels, pa.int64()),
                        pa.ListArray.from_arrays(pa.array(offsets), path),
                        pa.array(sq_dist),
                    ],
                    names=["id", "leaf_id", "path", "sq_distance"],
                )

    return assign


def blocks_in(batch: pa.RecordBatch, n_features: int) -> Iterator[Block]:
    """Give the blocks of a batch, as views of its memory."""
    vectors = batch.column("vectors")
    for i, block_id in enumerate(batch.column("block_id").to_pylist()):
        X = np.frombuffer(vectors[i].as_buffer(), np.float32).reshape(-1, n_features)
        yield Block(block_id, X)


def source_batch(blocks: list[Block]) -> pa.RecordBatch:
    """Give blocks as the rows of SOURCE_SCHEMA."""
    return pa.RecordBatch.from_arrays(
        [
            pa.array([b.block_id for b in blocks], pa.int32()),
            pa.array([len(b.X) for b in blocks], pa.int32()),
            pa.array([b.X.tobytes() for b in blocks], pa.binary()),
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
