"""Scores: how many MADs beyond the median a point's distance to its neighbours lies."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.points.medians import exact_median

NORMAL = 1.4826  # MADs in a standard deviation of normal values
ORTHOGONAL = math.sqrt(2)  # distance of orthogonal vectors of length 1


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

    def scores(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores of distances as ``score`` does; 0 where a distance is infinite."""
        if self.mad == 0:
            return np.zeros(len(distances))
        finite = np.where(np.isfinite(distances), distances, self.median)
        return np.asarray((finite - self.median) / (NORMAL * self.mad))

    def distance(self, score: float) -> float:
        """Return the distance that has a score."""
        return self.median + score * NORMAL * self.mad

    def out_of_reach(self, limit: float, *, is_normal: bool) -> str | None:
        """Say why hardly any point of length 1 will score above a limit; None if some may.

        Directions that have nothing in common are orthogonal, and the root of 2 apart; only in few
        dimensions are points often farther.
        """
        if not is_normal or self.mad == 0 or self.distance(limit) <= ORTHOGONAL:
            return None
        highest = (ORTHOGONAL - self.median) / (NORMAL * self.mad)
        return (
            f"outliers.max_score={limit:g} is a distance of {self.distance(limit):.3g}, and "
            f"vectors of length 1 that have nothing in common are {ORTHOGONAL:.3g} apart, a score "
            f"of {highest:.2g}: hardly any point can be an outlier; lower it"
        )


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


def scale_of(distances: NDArray[np.float64]) -> RobustScale:
    """Return the scale of some points' distances, as ``spread_of`` does : (n,)."""
    apart = distances[(distances > 0) & np.isfinite(distances)]
    if len(apart) == 0:
        return RobustScale(0.0, 0.0)
    median = _lower_median(apart)
    return RobustScale(median, _lower_median(abs(apart - median)))


def _lower_median(values: NDArray[np.float64]) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2])
