"""Folders as ``evenlake export`` leaves them, written by pyarrow: for tests without Spark."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.training.index import INDEX, File, Index

N_FEATURES = 3


def write_export(
    folder: Path,
    sizes: Sequence[int],
    *,
    per_file: int = 4,
    row_group_size: int | None = None,
    stage_keys: Sequence[str] = ("k",),
) -> Path:
    """Write batches of the given sizes; ids count up from 0 over all of them.

    Parameters
    ----------
    row_group_size : rows of a row group; a batch each by default
    """
    folder.mkdir(parents=True)
    files, first_id = [], 0
    for first in range(0, len(sizes), per_file):
        mine = range(first, min(first + per_file, len(sizes)))
        path, n_rows = f"part-{len(files):05}.parquet", 0
        with pq.ParquetWriter(folder / path, batch_of(0, 0, 1).schema) as writer:
            tables = []
            for batch in mine:
                tables.append(batch_of(batch, first_id + n_rows, sizes[batch]))
                n_rows += sizes[batch]
            if row_group_size is None:
                for table in tables:
                    writer.write_table(table)
            else:
                writer.write_table(pa.concat_tables(tables), row_group_size=row_group_size)
        files.append(File(path, mine[0], mine[-1], n_rows))
        first_id += n_rows
    columns = batch_of(0, 0, 1).column_names
    index = Index(
        len(sizes), first_id, columns, files, rounds=[], source={"stage_keys": list(stage_keys)}
    )
    (folder / INDEX).write_text(index.to_json())
    return folder


def batch_of(batch: int, first_id: int, n: int) -> pa.Table:
    """Make the rows of a batch."""
    ids = np.arange(first_id, first_id + n)
    vectors = [[float(i)] * N_FEATURES for i in ids]
    return pa.table(
        {
            "batch_id": pa.array(np.full(n, batch), pa.int64()),
            "position": pa.array(np.arange(n), pa.int32()),
            "id": pa.array([f"{i}" for i in ids]),
            "vector": pa.array(vectors, pa.list_(pa.float32())),
            "label": pa.array([None if i % 3 == 0 else f"l{i}" for i in ids], pa.string()),
        }
    )
