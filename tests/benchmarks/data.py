"""The grouped mixture, written once for all rivals: .npy files, and Parquet for Spark."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.tasks import Files, Fit, Stopwatch, Task
from tests.pools import grouped_mixture

_ROWS_AT_ONCE = 50_000  # of a Parquet row group: 51 MB at 256 features
_SEED = 0


def write_data(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """Draw the pool and write its files; a child process does this, so that its memory is freed."""
    watch.start()
    X, concepts = grouped_mixture(_SEED, n_points=task.n_points, n_features=task.n_features)
    np.save(files.vectors, X)
    np.save(files.concepts, concepts)
    schema = pa.schema({"id": pa.int64(), "embedding": pa.list_(pa.float32())})
    with pq.ParquetWriter(files.pool, schema, use_dictionary=False) as writer:
        for start in range(0, len(X), _ROWS_AT_ONCE):
            rows = X[start : start + _ROWS_AT_ONCE]
            offsets = np.arange(len(rows) + 1, dtype=np.int32) * X.shape[1]
            embedding = pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))
            ids = pa.array(np.arange(start, start + len(rows)))
            writer.write_table(pa.table([ids, embedding], schema=schema))
    return Fit(watch.lap(), "")
