"""Hash samples on the driver: the rows with the smallest hashes, whatever the partitioning."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from udfs.kernels.exact.grid import to_grid
from udfs.kernels.exact.hashing import xxhash64_on

_MARGIN = 6.0  # standard deviations of a binomial count: too few once in a billion


def sample_rows(
    rows: DataFrame, wanted: Sequence[tuple[str, int]], n_all: int, *, seed: int
) -> list[pa.Table]:
    """Return several independent hash samples, taken in one pass.

    Parameters
    ----------
    rows : rows with an ``id``
    wanted : (salt, n_rows) each; all rows if there are fewer
    n_all : the number of rows

    Returns
    -------
    samples : for each salt, the rows with the smallest id hashes, in that order
    """
    names = [f"_hash_{i}" for i in range(len(wanted))]
    hashes = [F.xxhash64("id", F.lit(salt), F.lit(seed)) for salt, _ in wanted]
    hashed = rows.withColumns(dict(zip(names, hashes, strict=True)))
    # shares of the hash range, so that few more rows are moved than are kept
    shares = [(n + _MARGIN * n**0.5 + _MARGIN) / max(1, n_all) for _, n in wanted]
    if max(shares) < 1:
        cuts = [int(-(2**63) + share * 2.0**64) for share in shares]
        is_wanted = [F.col(name) < cut for name, cut in zip(names, cuts, strict=True)]
        hashed = hashed.where(reduce(or_, is_wanted))
    table = hashed.toArrow()
    return [
        _first(table.select(rows.columns), table[name], n_rows)
        for name, (_, n_rows) in zip(names, wanted, strict=True)
    ]


def sample_of(
    rows: pa.Table, hashes: pa.ChunkedArray, salt: str, n_rows: int, *, seed: int
) -> pa.Table:
    """Return the same hash sample from rows in memory.

    Parameters
    ----------
    rows : rows with an ``id``
    hashes : Spark's xxhash64 of each id
    """
    salted = xxhash64_on(hashes.to_numpy(), salt, seed)
    return _first(rows, pa.chunked_array([salted]), n_rows)


def _first(rows: pa.Table, hashes: pa.ChunkedArray, n_rows: int) -> pa.Table:
    """Return the rows with the smallest hashes, ties by id."""
    values = hashes.to_numpy()
    if 0 < n_rows < len(values):  # a filter reads chunk by chunk; to take from all would join them
        is_near = values <= np.partition(values, n_rows - 1)[n_rows - 1]
        rows, values = rows.filter(pa.array(is_near)), values[is_near]
    keys = pa.table({"hash": values, "id": rows["id"]})
    order = pa.compute.sort_indices(keys, [("hash", "ascending"), ("id", "ascending")])
    return rows.take(order.slice(0, n_rows))


def vectors_of(table: pa.Table, unit: float) -> NDArray[np.float32]:
    """Return the vectors of rows with an ``embedding`` : (n, n_features) grid coordinates."""
    values = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return to_grid(values.reshape(table.num_rows, -1), unit)
