"""What the gate would find if it were on: scatter's share of the samples beside that of the pool.

A few points of the pool and of each sample, chosen by hash, look for their neighbours among all
points: among a sample of them, the members of small concepts would look isolated.
"""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.config.model import RunConfig
from jobs.outliers.scores import scale_of
from jobs.outliers.search import N_NEIGHBOURS
from jobs.points.hash_sample import vectors_of
from jobs.points.surviving import held, surviving
from jobs.reporting.rows import Row, figure_rows
from jobs.runs.run import Run
from jobs.spark.host import n_threads
from jobs.spark.shipping import ship
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.exact.neighbours import ROWS, nearest_among, smallest
from udfs.neighbours import NEAREST_SCHEMA, make_nearest
from udfs.points import PointReader

SCORED_ROWS = 1000  # from the pool, and from each sample
_K = N_NEIGHBOURS + 1  # the nearest is the point itself

Vectors = NDArray[np.float32]


def scatter_rows(run: Run, pool: Vectors, samples: Mapping[str, Vectors], unit: float) -> list[Row]:
    """Return the shares of points that the gate would turn away; no rows if it is on, or blind.

    ``share_above`` is that of a sample, its control that of the pool; ``share_error`` is the
    standard error of their difference.

    Parameters
    ----------
    pool, samples : (n, n_features) grid coordinates, in order of hash
    """
    if run.config.outliers.method is not None:
        return []
    parts = [pool[:SCORED_ROWS], *(X[:SCORED_ROWS] for X in samples.values())]
    found = np.sqrt(_sq_distances(run, np.concatenate(parts), unit)[:, -1])
    of_pool, *of_samples = np.split(found, np.cumsum([len(X) for X in parts])[:-1])
    scale, limit = scale_of(of_pool), run.config.outliers.max_score
    above = [scale.scores(each) > limit for each in (of_pool, *of_samples)]
    is_blind = scale.out_of_reach(limit, is_normal=run.config.embed.normalize) is not None
    if is_blind and not any(each.any() for each in above):
        return []  # nothing can be said
    return _rows(above[0], dict(zip(samples, above[1:], strict=True)))


def scatter_limit(config: RunConfig) -> Mapping[str, str]:
    """Return the limit of the scores, where it is not the default and the gate is off."""
    given, field = config.outliers, type(config.outliers).model_fields["max_score"]
    if given.method is not None or given.max_score == field.default:
        return {}
    return {"outliers.max_score": f"{given.max_score:g}"}


def _rows(pool: NDArray[np.bool_], samples: Mapping[str, NDArray[np.bool_]]) -> list[Row]:
    rows: list[Row] = []
    for name, above in samples.items():
        share, mine = float(pool.mean()), float(above.mean())
        variances = (p * (1 - p) / len(of) for p, of in ((share, pool), (mine, above)))
        error = math.sqrt(sum(variances))
        figures, control = {"share_above": mine, "share_error": error}, {"share_above": share}
        rows += figure_rows("scatter", name, figures, control=control)
    return rows


def _sq_distances(run: Run, X: Vectors, unit: float) -> NDArray[np.float64]:
    """Return the distances of points to the nearest of all, themselves included : (n, _K)."""
    points = held(run)
    if points is None:
        few, rows = ship(run.spark, X), surviving(run, "embedding")
        find = make_nearest(PointReader(unit, X.shape[1]), few, _K)
        try:
            parts = rows.mapInArrow(find, NEAREST_SCHEMA).toArrow()["sq_dist"]
        finally:
            few.release()
        each = [np.frombuffer(part.as_py()).reshape(len(X), _K) for part in parts]
        return smallest(each, _K)
    among = Centroids(vectors_of(points, unit))
    _ = among.folded, among.largest_norm  # computed once, before the threads start
    with threadpool_limits(1), ThreadPoolExecutor(n_threads()) as threads:
        runs = [X[i : i + ROWS] for i in range(0, len(X), ROWS)]
        found = threads.map(lambda some: nearest_among(some, among, _K).sq_dist, runs)
        return np.concatenate([*found])
