"""The problem that tuning solves, from a run's points: the stage's, and the plan's outlook."""

from collections.abc import Mapping

import pyarrow as pa

from jobs.config.model import RunConfig
from jobs.points.hash_sample import vectors_of
from jobs.points.surviving import sample_points, size_of
from jobs.runs.run import Run
from jobs.spark.host import n_threads
from jobs.tuning.families import n_sampled
from jobs.tuning.search import Problem
from jobs.tuning.shares import shares_of
from udfs.kernels.exact.hashing import derive_seed


def sampled_problem(
    run: Run, config: RunConfig, targets: Mapping[str, int], unit: float
) -> tuple[Problem, pa.Table]:
    """Return the problem over a hash sample of the surviving points, and that sample.

    Parameters
    ----------
    config : the run's, as written or as far as it is resolved
    targets : sample -> number of rows
    unit : grid unit of the vectors
    """
    n_points, n_features = size_of(run)
    (table,) = sample_points(run, [("tune_tree", n_sampled(n_points, n_features))])
    problem = Problem(
        vectors_of(table, unit),
        n_points,
        tuple(targets.values()),
        config.cluster,
        derive_seed(config.seed, 2),
        n_threads(),
        shares_of(config.samples),
    )
    return problem, table
