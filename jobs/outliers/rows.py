"""The report's rows about the outliers that were turned away: how many, how far, which."""

from functools import reduce
from operator import add

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.outliers.scores import RobustScale
from jobs.pool.ids import shown
from jobs.reporting.rows import Row, figure_rows

_EDGES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 50.0, 100.0)  # scores
_N_EXAMPLES = 3  # of the worst, the middle, and those just above the limit


def outlier_rows(
    scored: DataFrame,
    outliers: DataFrame,
    n_outliers: int,
    n_points: int,
    spread: RobustScale,
    limit: float,
) -> list[Row]:
    """Return figures, the number of points by score, and examples with their scores.

    Parameters
    ----------
    scored : all points with their scores, null for those without neighbours
    outliers : the id and score of those above the limit
    """
    figures = {
        "n_turned_away": n_outliers,
        "share_turned_away": n_outliers / n_points,
        "median_distance": spread.median,
        "mad": spread.mad,
        "distance_at_limit": spread.distance(limit),
    }
    rows = [*figure_rows("outliers", None, figures), *_by_score(scored)]
    if n_outliers == 0:
        return rows
    rejects = Row(None, "rejects", None, "outlier", None, "n_rows", float(n_outliers))
    return [*rows, *_examples(outliers, n_outliers), rejects]


def _by_score(scored: DataFrame) -> list[Row]:
    """Count points by score, in ascending order."""
    place = reduce(add, ((F.col("score") >= edge).cast("int") for edge in _EDGES))
    counted = scored.groupBy(place.alias("place")).count().dropna().orderBy("place").collect()
    names = [f"below {_EDGES[0]:g}"]
    names += [f"{a:g} to {b:g}" for a, b in zip(_EDGES, _EDGES[1:], strict=False)]
    names.append(f"{_EDGES[-1]:g} and more")
    return [_row(f"score {names[row.place]}", "n_points", row["count"]) for row in counted]


def _examples(outliers: DataFrame, n_outliers: int) -> list[Row]:
    """Return the scores of the worst, of those in the middle, and of those just above the limit."""
    ordered = outliers.orderBy(F.desc("score"), "id")
    starts = {
        "worst": 0,
        "middle": max(0, (n_outliers - _N_EXAMPLES) // 2),
        "just_above_the_limit": max(0, n_outliers - _N_EXAMPLES),
    }
    parts = [
        ordered.offset(start).limit(_N_EXAMPLES).select("id", "score", F.lit(name).alias("name"))
        for name, start in starts.items()
    ]
    found = sorted(reduce(DataFrame.unionByName, parts).collect(), key=lambda r: (-r.score, r.id))
    return [
        _row(str(shown(r.id)), f"score_{name}", r.score)
        for name in starts
        for r in found
        if r.name == name
    ]


def _row(key: str, metric: str, value: float) -> Row:
    return Row(None, "outliers", None, key, None, metric, float(value))
