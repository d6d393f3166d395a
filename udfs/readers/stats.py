"""What identifies local files without reading them: their size and time."""

import os
from typing import Any

import pandas as pd
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]  # its stub lacks it

from udfs.readers.local import local_path


def make_size_and_time() -> Any:
    """Return a UDF: a path -> size in bytes and time in nanoseconds, as text; null if not there."""
    return pandas_udf(size_and_time, "string")


def size_and_time(paths: pd.Series) -> pd.Series:
    """Return what identifies each local file, or None."""
    return paths.map(_state, na_action="ignore").astype(object)


def _state(path: str) -> str | None:
    try:
        found = os.stat(local_path(path))
    except (OSError, ValueError):
        return None
    return f"{found.st_size} {found.st_mtime_ns}"
