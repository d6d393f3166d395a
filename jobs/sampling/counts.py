"""How many candidates every leaf has, by stratum, and what is odd about them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from udfs.kernels.sampling.allocation import TreeLevel

_LARGEST = 1e18  # size of a point that counts, so that sums fit a decimal


@dataclass(frozen=True)
class Counts:
    """Candidates of a sample.

    Attributes
    ----------
    n_points, n_included : (n_strata, n_leaves) int64
    n_without_weight, n_without_size : points whose column holds no number
    total_size : sum over all points
    """

    n_points: NDArray[np.int64]
    n_included: NDArray[np.int64]
    n_without_weight: int = 0
    n_without_size: int = 0
    total_size: float = 0.0


def all_points(levels: Sequence[TreeLevel]) -> Counts:
    """Return the counts of a sample that may hold every point."""
    return Counts(levels[0].n_points[None], np.zeros((1, len(levels[0].parents)), np.int64))


def exact_size(size: Column) -> Column:
    """Return sizes whose sum is exact, so that it is the same in any order."""
    return F.least(size, F.lit(_LARGEST)).cast("decimal(38,9)")


def count_candidates(points: DataFrame, n_strata: int, n_leaves: int) -> Counts:
    """Count candidates, in one pass.

    Parameters
    ----------
    points : what ``candidates`` returned
    """
    known = set(points.columns)
    never, nothing = F.lit(False), F.lit(0.0)
    is_included = F.col("is_included") if "is_included" in known else never
    has_no_weight = F.col("weight").isNull() if "weight" in known else never
    has_no_size = (F.col("size").isNull() | (F.col("size") < 0)) if "size" in known else never
    size = F.col("size") if "size" in known else nothing
    found = points.groupBy("stratum", "leaf_id").agg(
        F.count("*").alias("n_points"),
        F.count_if(is_included).alias("n_included"),
        F.count_if(has_no_weight).alias("n_without_weight"),
        F.count_if(has_no_size).alias("n_without_size"),
        F.sum(exact_size(size)).alias("total_size"),
    )
    rows = found.toArrow()
    at = (rows["stratum"].to_numpy(), rows["leaf_id"].to_numpy())

    def spread(name: str) -> NDArray[np.int64]:
        counts = np.zeros((n_strata, n_leaves), np.int64)
        counts[at] = rows[name].to_numpy()
        return counts

    def total(name: str) -> float:
        return float(pa.compute.sum(rows[name]).as_py() or 0)

    return Counts(
        spread("n_points"),
        spread("n_included"),
        int(total("n_without_weight")),
        int(total("n_without_size")),
        total("total_size"),
    )
