"""Exact medians of a column, in two passes, however many rows and partitions it has."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_BUCKETS = 1 << 16  # one value in about this many is brought to the driver


def exact_median(rows: DataFrame, column: str, *, largest: float) -> float | None:
    """Return the lower median of a column, nulls left out; None if it has no value.

    Parameters
    ----------
    column : a column of numbers from 0 to ``largest``
    """
    bucket = F.floor(F.col(column) * F.lit(_BUCKETS / largest))
    values = rows.select(F.col(column).alias("value"), bucket.alias("bucket")).dropna()
    counts = values.groupBy("bucket").count().toArrow().sort_by("bucket")
    stops = np.cumsum(counts["count"].to_numpy())
    if len(stops) == 0:
        return None
    rank = (stops[-1] - 1) // 2
    middle = int(np.searchsorted(stops, rank, side="right"))
    rank -= stops[middle - 1] if middle else 0
    inside = values.where(F.col("bucket") == counts["bucket"][middle].as_py())
    found = inside.groupBy("value").count().toArrow().sort_by("value")
    place = np.searchsorted(np.cumsum(found["count"].to_numpy()), rank, side="right")
    return float(found["value"][int(place)].as_py())
