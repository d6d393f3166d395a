"""Read local files whole: a path in, its content out."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]  # its stub lacks it

from udfs.readers.sources import Source

BATCH_BYTES = 16 << 20  # bytes of content that a worker holds


def make_read() -> Any:
    """Return a UDF: the path of a local file, as Spark writes it -> its content, BINARY."""
    return pandas_udf(read_contents, "binary")


def read_contents(paths: Iterator[pd.Series]) -> Iterator[pd.Series]:
    """Read files, as many at once as BATCH_BYTES hold."""
    for batch in paths:
        contents: list[bytes] = []
        n_bytes = 0
        for path in batch:
            with Source(path).open() as file:
                contents.append(file.read())
            n_bytes += len(contents[-1])
            if n_bytes >= BATCH_BYTES:
                yield pd.Series(contents, dtype=object)
                contents, n_bytes = [], 0
        if contents or not len(batch):
            yield pd.Series(contents, dtype=object)
