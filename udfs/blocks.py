"""Blocks on the executors: pack rows into them, run passes over them, solve cells, label points."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from udfs.kernels.grid import to_grid
from udfs.kernels.nearest import RUN_ROWS, Centroids, NearestCentroids
from udfs.kernels.passes import Arrays, block_of, positions
from udfs.kernels.routing import NearestLeaves, Routing
from udfs.kernels.sources import LocalBlocks
from udfs.shipping import Shipped

Batches = Iterator[pa.RecordBatch]
OnBatches = Callable[[Batches], Batches]

BLOCKS_PER_BATCH = 24  # about 8 MB at d = 256: the size at which Arrow streams to Spark fastest

SCATTER_SCHEMA = "bin int, block_ids binary, hashes binary, ids array<{id}>, vectors binary"
PACK_SCHEMA = "block_id int, n_rows int, ids array<{id}>, vectors binary"
SOURCE_SCHEMA = "block_id int, n_rows int, vectors binary"
REDUCE_SCHEMA = "payload binary"
ROUTE_SCHEMA = "bin int, cells binary, positions binary, vectors binary"
SOLVE_SCHEMA = "cell int, payload binary"
ASSIGN_SCHEMA = "id {id}, leaf_id bigint, path array<bigint>, sq_distance double"


def make_scatter(unit: float, n_features: int, keys: NDArray[np.int32]) -> OnBatches:
    """Make the function that puts (block_id, hash, id, embedding) rows on the grid, by bins.

    Block b belongs to bin b % len(keys). Whole matrices then cross the shuffle, not single rows.

    Parameters
    ----------
    unit : of the grid
    keys : (n_bins,) int32, what bins are called in the shuffle
    """

    def scatter(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            block_ids, hashes = (batch.column(i).to_numpy() for i in (0, 1))
            values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
            X = to_grid(values.reshape(-1, n_features), unit)
            bins = block_ids % len(keys)
            order = np.argsort(bins, kind="stable")
            present, starts = np.unique(bins[order], return_index=True)
            parts = np.split(order, starts[1:])
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(keys[present]),
                    pa.array([block_ids[rows].tobytes() for rows in parts]),
                    pa.array([hashes[rows].tobytes() for rows in parts]),
                    pa.ListArray.from_arrays(
                        pa.array(np.append(starts, len(order)), pa.int32()),
                        batch.column("id").take(pa.array(order)),
                    ),
                    pa.array([X[rows].tobytes() for rows in parts]),
                ],
                names=["bin", "block_ids", "hashes", "ids", "vectors"],
            )

    return scatter


def make_pack(n_features: int) -> OnBatches:
    """Make the function that packs a bin's scattered rows into blocks, by (hash, id)."""

    def pack(batches: Batches) -> Batches:
        parts: dict[str, list[Any]] = {"block_ids": [], "hashes": [], "vectors": [], "ids": []}
        for batch in batches:
            for name, dtype in (("block_ids", "i4"), ("hashes", "i8"), ("vectors", "f4")):
                parts[name] += [np.frombuffer(v.as_buffer(), dtype) for v in batch.column(name)]
            parts["ids"].append(batch.column("ids").flatten())
        if not parts["block_ids"]:
            return
        ids = pa.concat_arrays(parts.pop("ids"))
        block_ids, hashes, values = (np.concatenate(parts.pop(name)) for name in list(parts))
        X = values.reshape(-1, n_features)
        order = _by_hash_and_id(block_ids, hashes, ids)
        present, starts = np.unique(block_ids[order], return_index=True)
        edges = np.append(starts, len(order)).astype(np.int32)
        for i in range(0, len(present), BLOCKS_PER_BATCH):
            ends = edges[i : i + BLOCKS_PER_BATCH + 1]
            rows = [order[a:b] for a, b in pairwise(ends)]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(present[i : i + BLOCKS_PER_BATCH]),
                    pa.array(np.diff(ends)),
                    pa.ListArray.from_arrays(
                        pa.array(ends - ends[0]), ids.take(pa.array(np.concatenate(rows)))
                    ),
                    pa.array([X[r].tobytes() for r in rows]),
                ],
                names=["block_id", "n_rows", "ids", "vectors"],
            )

    return pack


def _by_hash_and_id(
    block_ids: NDArray[np.int32], hashes: NDArray[np.int64], ids: pa.Array
) -> NDArray[np.int64]:
    """Sort rows by (block, hash, id) : (n,) indices."""
    order = np.lexsort((hashes, block_ids))
    ordered = hashes[order]
    if (ordered[1:] != ordered[:-1]).all():
        return order
    table = pa.table({"block": block_ids, "hash": hashes, "id": ids})
    keys = [(name, "ascending") for name in table.column_names]
    indices: NDArray[np.int64] = pc.sort_indices(table, sort_keys=keys).to_numpy()
    return indices


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


def make_route(cells: Shipped, bins: NDArray[np.int32], n_features: int) -> OnBatches:
    """Make the function that sorts points into the bins of their cells.

    Parameters
    ----------
    cells : the cells' centroids
    bins : (n_cells,) the bin that gathers each cell's points
    """

    def route(batches: Batches) -> Batches:
        nearest = NearestCentroids(Centroids(cells.get()))
        for batch in batches:
            where, X = points_in(batch, n_features)
            if len(X) == 0:
                continue
            labels, _ = nearest(X)
            bin_of = bins[labels]
            order = np.argsort(bin_of, kind="stable")
            present, starts = np.unique(bin_of[order], return_index=True)
            parts = np.split(order, starts[1:])
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(present),
                    pa.array([labels[rows].tobytes() for rows in parts]),
                    pa.array([where[rows].tobytes() for rows in parts]),
                    pa.array([X[rows].tobytes() for rows in parts]),
                ],
                names=["bin", "cells", "positions", "vectors"],
            )

    return route


def make_solve(problem: Any, n_features: int) -> OnBatches:
    """Make the function that gathers routed points and solves their cells, one after the other.

    Parameters
    ----------
    problem : a ``CellProblem``, its centroids left out
    """

    def solve(batches: Batches) -> Batches:
        parts: dict[str, list[NDArray[Any]]] = {"cells": [], "positions": [], "vectors": []}
        for batch in batches:
            for name, dtype in (("cells", "i4"), ("positions", "i8"), ("vectors", "f4")):
                parts[name] += [np.frombuffer(v.as_buffer(), dtype) for v in batch.column(name)]
        if not parts["cells"]:
            return
        cells, where, values = (np.concatenate(parts.pop(name)) for name in list(parts))
        X = values.reshape(-1, n_features)
        order = np.lexsort((where, cells))
        present, starts = np.unique(cells[order], return_index=True)
        for cell, rows in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
            payload = to_bytes(problem.solve(cell, LocalBlocks(where[rows], X[rows], 1)))
            yield pa.RecordBatch.from_arrays(
                [pa.array([cell], pa.int32()), pa.array([payload], pa.binary())],
                names=["cell", "payload"],
            )

    return solve


def make_assign(
    leaves: Shipped,
    paths: NDArray[np.int64],
    n_features: int,
    cells: tuple[Shipped, NDArray[np.int64]] | None = None,
) -> OnBatches:
    """Make the function that labels every point of a task's blocks.

    Parameters
    ----------
    leaves : the leaves' centroids, grid coordinates
    paths : (n_leaves, n_levels) int64, each leaf's nodes from level 1 up
    cells : the cells' centroids and ``Routing.starts``, where level 1 is split
    """

    def assign(batches: Batches) -> Batches:
        nearest = _nearest_leaf(leaves, cells)
        for batch in batches:
            _, X = points_in(batch, n_features)
            labels, sq_dist = nearest(X)
            path = pa.array(paths[labels].ravel())
            offsets = np.arange(len(labels) + 1, dtype=np.int32) * paths.shape[1]
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("ids").flatten(),
                    pa.array(labels, pa.int64()),
                    pa.ListArray.from_arrays(pa.array(offsets), path),
                    pa.array(sq_dist),
                ],
                names=["id", "leaf_id", "path", "sq_distance"],
            )

    return assign


def _nearest_leaf(
    leaves: Shipped, cells: tuple[Shipped, NDArray[np.int64]] | None
) -> NearestCentroids | NearestLeaves:
    if cells is None:
        return NearestCentroids(Centroids(leaves.get()))
    centroids, starts = cells
    return NearestLeaves(Routing(Centroids(centroids.get()), leaves.get(), starts))


def points_in(
    batch: pa.RecordBatch, n_features: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
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
