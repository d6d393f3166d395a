"""Numbered shards: each is written from the rows of its number, in their order.

Spark shape map: rows that are sorted by shard -> a row of SHARDS_SCHEMA for each shard.
"""

from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
import pyarrow as pa

from udfs.points import Batches, OnBatches

SHARDS_SCHEMA = "shard bigint, n_rows bigint, written string"
# shard, its rows without the number -> what the driver needs to find it
WriteShard = Callable[[int, Batches], str]


def make_write(write: WriteShard, column: str) -> OnBatches:
    """Return a function that writes the shards of a task's rows.

    A repeated task writes its shards anew, under other names; the result names those of the attempt
    that Spark keeps.

    Parameters
    ----------
    write : one shard; it takes all rows
    column : column that holds the shard's number
    """

    def on_batches(batches: Batches) -> Batches:
        for shard, pieces in groupby(_pieces(batches, column), key=lambda piece: piece[0]):
            counted = _Counted(rows for _, rows in pieces)
            written = write(shard, counted)
            told = ([shard], [counted.n_rows], [written])
            yield pa.RecordBatch.from_arrays(
                [pa.array(value) for value in told], names=["shard", "n_rows", "written"]
            )

    return on_batches


def _pieces(batches: Batches, column: str) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cut batches where the number changes."""
    for batch in batches:
        numbers = batch.column(column).to_numpy()
        rows = batch.drop_columns([column])
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), batch.num_rows]
        for start, stop in zip(edges, edges[1:], strict=False):
            if stop > start:
                yield int(numbers[start]), rows.slice(start, stop - start)


class _Counted:
    """Batches, and how many rows they had."""

    def __init__(self, batches: Batches) -> None:
        self._batches, self.n_rows = batches, 0

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> pa.RecordBatch:
        batch = next(self._batches)
        self.n_rows += batch.num_rows
        return batch
