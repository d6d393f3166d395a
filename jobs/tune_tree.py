"""Find the levels and the share that fit this pool, judged without labels.

Reads    the surviving points: a hash sample
Writes   report: every tree of the last round, next to the uniform control; the choice goes to runs
Method   successive halving over trees of a hash sample, judged by how they cover independent nodes
         and communities; ``jobs.tuning``, ``jobs.judging``
Run      evenlake tune --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pyspark.sql import SparkSession
from threadpoolctl import threadpool_limits

from jobs import embed_pool
from jobs.config.model import RunConfig
from jobs.config.resolving import needs_tuning, resolved
from jobs.planning import costs
from jobs.points.surviving import size_of
from jobs.reporting.rows import Row, report_table
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome, per
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sampling.totals import expected_rows
from jobs.sections.samples import CoverageConfig, TotalConfig
from jobs.tables.shared import REPORT
from jobs.tuning.families import n_leaves
from jobs.tuning.problem import sampled_problem
from jobs.tuning.search import Choice, search
from udfs.kernels.exact.grid import grid_unit

ROWS_PER_LEAF = 2  # for a sample that is to reach most leaves, until the tree tells its size


@dataclass(frozen=True, kw_only=True)
class Tuned(Outcome):
    """What was chosen; levels and rounds only if the config leaves them open."""

    levels: tuple[int, ...] = per("level_{}")
    rounds: tuple[int, ...] = per("rounds_{}")
    share_leaves: float
    share_points: float = 0.0
    n_sampled: int
    n_tried: int
    relative_coverage: float
    best_relative_coverage: float


def _tune(this: Work) -> Tuned:
    # 1. a hash sample of the pool
    unit = grid_unit(this.run.outcome(embed_pool.STAGE).largest_norm)
    problem, sampled = sampled_problem(this.run, this.run.written, target_sizes(this.run), unit)
    # 2. trees over it, judged by coverage at the wanted sizes
    with threadpool_limits(1):  # the search has its own threads
        choice = search(
            problem, lambda done, total, what: this.progress.update(done, total, at=what)
        )
    # 3. the choice, and its alternatives
    this.write(REPORT, report_table(_rows(choice), this.run.run_id))
    this.progress.note(STAGE.name, _reason(choice))
    chosen = choice.cluster
    is_open = not this.run.written.cluster.levels
    return Tuned(
        levels=tuple(chosen.levels) if is_open else (),
        rounds=tuple(map(chosen.rounds_at, range(1, len(chosen.levels) + 1))) if is_open else (),
        share_leaves=choice.share.leaves,
        share_points=choice.share.points,
        n_sampled=len(sampled),
        n_tried=choice.n_tried,
        relative_coverage=choice.chosen.score,
        best_relative_coverage=choice.trials[0].score,
    )


def target_sizes(run: Run) -> dict[str, int]:
    """Return the rows of every sample, approximate if its size is a total : sample -> rows."""
    n_points, sizes = size_of(run).n_points, {}
    for sample in run.written.samples:
        if isinstance(sample.target_size, TotalConfig):
            n_rows = expected_rows(sample, embed_pool.described(run), n_points)
        elif isinstance(sample.target_size, CoverageConfig):
            levels = run.written.cluster.levels
            n_rows = ROWS_PER_LEAF * (levels[0] if levels else n_leaves(n_points))
        else:
            n_rows = sample.rows_of(n_points)
        sizes[sample.name] = min(n_rows, n_points)
    return sizes


def _rows(choice: Choice) -> list[Row]:
    """Return every finalist's coverage over the uniform control's, as rows of the report.

    The error is that of its difference from the best trial.

    ``relative_coverage`` is the geometric mean of that over nodes and over communities.
    """
    rows = []
    names = [f"{'/'.join(map(str, trial.levels))} · {trial.share}" for trial in choice.trials]
    for name, trial in zip(names, choice.trials, strict=True):
        if names.count(name) > 1:  # trees that differ only in resampling
            name += f" · {trial.rounds} rounds"
        figures = {
            "relative_coverage": trial.score,
            "standard_error": trial.error_of_lead(choice.trials[0]),
            "is_chosen": float(trial is choice.chosen),
        }
        if trial.communities is not None:
            figures |= {"over_nodes": trial.of_nodes, "over_communities": trial.communities}
        rows += [Row(None, "tune", None, name, None, m, v) for m, v in figures.items()]
    return rows


def _reason(choice: Choice) -> str:
    levels = "/".join(map(str, choice.cluster.levels))
    best = choice.trials[0]
    why = "the best"
    if best is not choice.chosen:
        more = "simpler" if best.communities is None else "more even over communities"
        why = f"as good as the best ({best.score:.3f}) and {more},"
    return (
        f"levels={levels} share.leaves={choice.share.leaves:g} "
        f"share.points={choice.share.points:g} coverage={choice.chosen.score:.3f} of "
        f"uniform: {why} of {choice.n_tried} tried"
    )


def _resolved(config: RunConfig, tuned: Tuned) -> RunConfig:
    share = (tuned.share_leaves, tuned.share_points)
    return resolved(config, tuned.levels, tuned.rounds, *share)


STAGE = Stage(
    name="tune_tree",
    version=3,
    after=(embed_pool.STAGE,),
    reads=("seed", "cluster", "samples.target_size", "samples.share"),
    is_on=needs_tuning,
    resolves=_resolved,
    command="tune",
    summary="Find the levels and the share that fit the embedded pool.",
    tables=(REPORT,),
    outcome=Tuned,
    work=_tune,
    cost=costs.tune,
)


def described(config: RunConfig, tuned: Tuned) -> str:
    """Return the choice as YAML to paste, after a line on its coverage.

    Parameters
    ----------
    config : the config with the choice filled in
    """
    cluster = config.cluster
    plain: dict[str, Any] = {
        "cluster": {
            "levels": list(cluster.levels),
            "resampling": cluster.resampling.model_dump(),
        },
        "samples": [{"name": s.name, "share": s.share.model_dump()} for s in config.samples],
    }
    header = (
        f"# coverage distance {tuned.relative_coverage:.3f} of a uniform sample's on the hash "
        f"sample (the best of {tuned.n_tried} has {tuned.best_relative_coverage:.3f})"
    )
    return header + "\n" + str(yaml.safe_dump(plain, sort_keys=False)).rstrip()


def run(spark: SparkSession, config: RunConfig) -> Tuned:
    """Choose, or reuse an earlier choice.

    A config that leaves nothing to ``auto`` is tuned only for comparison.

    Raises
    ------
    ConfigError
        If the pool is not embedded yet.
    """
    return open_run(spark, config).do(STAGE)


def _show(this: Run) -> str:
    tuned = this.do(STAGE)
    return described(_resolved(this.written, tuned), tuned)


def main(argv: Sequence[str] | None = None) -> int:
    """Find the levels and the share that fit an embedded pool, and print them as YAML."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="tune", summary=(__doc__ or "").splitlines()[0])


if __name__ == "__main__":
    sys.exit(main())
