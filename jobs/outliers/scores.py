"""Scores: how many MADs beyond the median a point's distance to its neighbours lies."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.points.medians import exact_median

NORMAL = 1.4826  # MADs in a standard deviation of normal values


class RobustScale(NamedTuple):
    """The median of distances, and their median absolute deviation.

    Attributes
    ----------
    mad : the median of the absolute deviations from the median; 0 if nobody has a score
    """

    median: float
    mad: float

    def score(self, distance: Column) -> Column:
        """Return the scores of distances; 0 if there is no deviation to measure them by."""
        if self.mad == 0:
            return F.when(distance.isNotNull(), F.lit(0.0))
        return (distance - F.lit(self.median)) / F.lit(NORMAL * self.mad)

    def distance(self, score: float) -> float:
        """Return the distance that has a score."""
        return self.median + score * NORMAL * self.mad


def spread_of(rows: DataFrame, *, largest: float) -> RobustScale:
    """Return the spread of the column ``distance``, exact; copies, at distance 0, are left out.

    Parameters
    ----------
    largest : the largest possible distance
    """
    apart = rows.where("distance > 0")
    median = exact_median(apart, "distance", largest=largest)
    if median is None:
        return RobustScale(0.0, 0.0)
    deviation = F.abs(F.col("distance") - F.lit(median)).alias("deviation")
    mad = exact_median(apart.select(deviation), "deviation", largest=largest)
    return RobustScale(median, mad or 0.0)


def scores_of(distances: NDArray[np.float64], pool: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores, by the spread of a sample of the pool's distances : (n,), (m,) -> (n,)."""
    apart = pool[pool > 0]
    if len(apart) == 0:
        return np.zeros(len(distances))
    median = _lower_median(apart)
    mad = _lower_median(abs(apart - median))
    return (distances - median) / (NORMAL * mad) if mad else np.zeros(len(distances))


def _lower_median(values: NDArray[np.float64]) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2])
