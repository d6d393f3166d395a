"""Near duplicates on the executors: points to their nearest cells, cells to similar pairs.

Spark shape map: rows of id, group_id and embedding, ARRAY<FLOAT> of n_features, perhaps with a
rank -> a row of ROUTED_SCHEMA for each of its cells, the vector as BINARY; all rows of some
cells -> rows of PAIRS_SCHEMA.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.exact.hygiene import normalize_rows, row_norms
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.near.cells import NearestCells, searched_within
from udfs.kernels.near.pairs import better_neighbours
from udfs.points import Batches, OnBatches, as_binary, put_in_order

ROUTED_SCHEMA = "bin int, cell int, id {id}, group_id bigint, rank {rank}, vector binary"
PAIRS_SCHEMA = (
    "id {id}, group_id bigint, rank {rank}, better_id {id}, better_group_id bigint, "
    "better_rank {rank}, cosine_similarity double"
)
POINT = ("id", "group_id", "rank")
UNIT = grid_unit(1.0)  # directions have length 1

Cell = tuple[pa.Table, NDArray[np.float32]]  # POINT's columns; (n, n_features); both by rank


@dataclass(frozen=True)
class DirectionReader:
    """Reads the vectors of a batch as directions : (n, n_features) float32 on the grid.

    Attributes
    ----------
    is_normal : whether all vectors have length 1 already
    """

    n_features: int
    is_normal: bool

    def __call__(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        """Read one batch."""
        values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
        X = values.reshape(-1, self.n_features)
        return to_grid(X if self.is_normal else normalize_rows(X, row_norms(X)), UNIT)


@dataclass(frozen=True)
class Ranking:
    """The order in which points are preferred: by rank, missing ones last, ties by id.

    Attributes
    ----------
    order : ``ascending`` or ``descending`` ranks
    """

    order: str = "ascending"

    def __call__(self, points: pa.Table, *before: str) -> NDArray[np.int64]:
        """Sort points : (n,) indices; first by other columns, if named."""
        keys = [(name, "ascending") for name in before]
        keys += [("rank", self.order)] if "rank" in points.column_names else []
        order = pa.compute.sort_indices(points, [*keys, ("id", "ascending")])
        return np.asarray(order.to_numpy(), np.int64)


def make_route(
    read: DirectionReader,
    threshold: float,
    load_cells: Callable[[], NDArray[np.float32]],
    bins: NDArray[np.int32],
) -> OnBatches:
    """Return a function that sends points to the cells they are searched in: ROUTED_SCHEMA.

    Points without a rank are ranked by their squared distance to the nearest cell's centroid.

    Parameters
    ----------
    threshold : the cosine of similar points
    load_cells : runs on the worker, (n_cells, n_features)
    bins : (n_cells,) int32, the key of each cell's bin
    """

    def route(batches: Batches) -> Batches:
        nearest = NearestCells(Centroids(load_cells()), searched_within(threshold, UNIT))
        for batch in batches:
            if batch.num_rows == 0:
                continue
            X = read(batch)
            cells, sq_dist = nearest(X)
            has_rank = "rank" in batch.schema.names
            rank = batch.column("rank") if has_rank else pa.array(sq_dist)
            point = pa.record_batch(
                [batch.column("id"), batch.column("group_id"), rank], names=[*POINT]
            )
            for column in cells.T:
                (rows,) = np.nonzero(column >= 0)
                cell, mine = column[rows], point.take(pa.array(rows))
                vectors = as_binary(X[rows], np.arange(len(rows) + 1))
                yield pa.RecordBatch.from_arrays(
                    [pa.array(bins[cell]), pa.array(cell), *mine.columns, vectors],
                    names=["bin", "cell", *POINT, "vector"],
                )

    return route


def make_search(n_features: int, threshold: float, ranking: Ranking) -> OnBatches:
    """Return a function that finds similar pairs in a bin's cells, rows of PAIRS_SCHEMA.

    A point is paired with at most ``MOST_BETTER`` points of each cell, the best in rank.
    """

    def search(batches: Batches) -> Batches:
        for cell in by_cell(batches, n_features, ranking):
            yield from similar_in(cell, threshold).combine_chunks().to_batches()

    return search


def by_cell(batches: Iterable[pa.RecordBatch], n_features: int, ranking: Ranking) -> Iterator[Cell]:
    """Gather a bin and yield its cells, each in order of rank."""
    some = [batch for batch in batches if batch.num_rows]
    if not some:
        return
    vectors = [_vectors(batch.column("vector"), n_features) for batch in some]
    rows = pa.Table.from_batches([batch.select(["cell", *POINT]) for batch in some])
    order = ranking(rows, "cell")
    X = put_in_order(vectors, order, n_features)
    rows = rows.take(pa.array(order))
    starts = np.unique(rows["cell"].to_numpy(), return_index=True)[1]
    for a, b in pairwise([*starts.tolist(), len(order)]):
        yield rows.select([*POINT]).slice(a, b - a), X[a:b]


def similar_in(cell: Cell, threshold: float) -> pa.Table:
    """Return a cell's similar pairs : columns of PAIRS_SCHEMA."""
    points, X = cell
    pairs = better_neighbours(X, threshold)
    one, better = points.take(pa.array(pairs.row)), points.take(pa.array(pairs.better))
    columns = {name: one[name] for name in POINT}
    columns |= {f"better_{name}": better[name] for name in POINT}
    return pa.table(columns | {"cosine_similarity": pairs.cosine})


def _vectors(column: pa.Array, n_features: int) -> NDArray[np.float32]:
    """Read vectors in one piece, without copying : (n, n_features)."""
    _, offsets, content = column.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    values = np.frombuffer(content or b"", np.uint8)[first:last].view(np.float32)
    return values.reshape(-1, n_features)
