"""Plan a run: sizes, memory and hours, the traps in its config, and whether it fits at all.

Reads    the pool: its number of rows, one row's vector; once it is embedded, a hash sample of it
Writes   nothing
Method   counts of passes and bytes, times a speed measured in about a second; ``jobs.planning``.
         Whether to curate at all: as reported, or by samples of the hash sample; ``jobs.advice``
Run      evenlake plan --config conf/quickstart.yaml
"""

import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from jobs import cluster_levels, embed_pool, report_curation, tune_tree
from jobs.advice.outlook import outlook
from jobs.config.errors import ConfigError, GuardError
from jobs.config.model import RunConfig
from jobs.embedding.chosen import chosen
from jobs.embedding.learning import ahead
from jobs.judging.recommendation import Recommendation
from jobs.planning import executors
from jobs.planning.calibration import calibrate
from jobs.planning.machine import WORKER_LIMIT, Machine, assumed_speed
from jobs.planning.plan import Plan, make_plan
from jobs.planning.problem import Problem, problem_for
from jobs.pool.columns import nothing_in, pool_columns
from jobs.pool.computing import computable
from jobs.pool.looks import look
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.spark import settings
from jobs.spark.host import host_bytes, n_threads, size_bytes
from jobs.spark.session import n_slots
from udfs.kernels.exact.grid import grid_unit

log = logging.getLogger(__name__)

NAME = "plan_run"  # shown in progress lines and metrics
CALIBRATED_FLOPS = 50e9  # below this, a run takes seconds anywhere, and the assumed speed suffices


def show(this: Run) -> Plan:
    """Plan the run and show the plan.

    Raises
    ------
    InputError
        If the pool is empty, or its column holds nothing.
    ConfigError
        If level 1 asks for more clusters than the pool has rows.
    GuardError
        If the run cannot fit.
    """
    plan = plan_for(this, this.recipe.beside(this.written))
    if not plan.refusals and this.has_finished(embed_pool.STAGE):
        plan = replace(plan, advice=_advice(this))
    if this.progress.is_live:
        from rich.console import Console

        Console(stderr=True).print(plan.table())
    else:
        for line in plan.lines():
            log.info(line)
    return _fitting(plan)


def _advice(this: Run) -> list[Recommendation]:
    """Return whether to curate: as reported, or if there is no report yet, tried on a sample."""
    if this.has_finished(report_curation.STAGE):
        return report_curation.advice(this)
    unit = grid_unit(this.outcome(embed_pool.STAGE).largest_norm)
    with this.progress.stage(NAME, this.spark):
        return outlook(
            this,
            tune_tree.target_sizes(this),
            unit,
            lambda done, total, what: this.progress.update(done, total, at=what),
        )


def run(spark: SparkSession, config: RunConfig) -> Plan:
    """Plan a run of a config and show the plan; see ``show``."""
    return show(open_run(spark, config))


def check(this: Run) -> None:
    """Plan before a whole run, and note one line and the warnings; a finished tree needs no plan.

    Raises
    ------
    InputError, ConfigError, GuardError
        See ``show``.
    """
    if this.has_finished(cluster_levels.STAGE) and not this.is_refresh:
        return
    plan = plan_for(this)
    this.progress.expect(plan.problem.n_points)
    for line in str(plan).splitlines():
        this.progress.note(NAME, line)
    _fitting(plan)
    this.metrics[NAME] = plan.figures


def plan_for(this: Run, beside: Sequence[Stage[Any]] = ()) -> Plan:
    """Size the pool and the machine, and plan a whole run, and stages beside it."""
    problem = problem_of(this)
    this.n_bytes = float(problem.n_bytes)
    machine = machine_of(this.spark, problem.n_features)
    stages = [*this.recipe.on(this.written), *beside]
    plan = make_plan(problem, machine, stages)
    if sum(part.flops for part in plan.parts) < CALIBRATED_FLOPS:
        return plan
    here = min(machine.n_slots, machine.n_threads) if machine.is_local else machine.n_threads
    speed = calibrate(problem.n_features, here)
    return make_plan(problem, replace(machine, speed=speed), stages)


@computable()
def problem_of(this: Run) -> Problem:
    """Count the pool's rows and look at one vector, or take both from the ledger if it has them."""
    if this.has_finished(embed_pool.STAGE):
        embedded = this.outcome(embed_pool.STAGE)
        return problem_for(embedded.n_points, embedded.n_features, this.config)
    embedder, levels = chosen(this.config), this.config.cluster.levels
    rows = pool_columns(this.pool, this.config.input, embedder.spec.reads)
    n_features, row_seconds = ahead(rows, embedder, this.config)
    n_rows = this.pool.rows.count()
    if n_rows == 0:
        raise nothing_in(rows, f"{embedder.key}={embedder.column!r}", this.pool.files)
    if levels and levels[0] > n_rows:
        raise ConfigError(
            f"cluster.levels[0]={levels[0]} exceeds its input of {n_rows} rows; lower it or drop "
            "level 1"
        )
    problem = problem_for(n_rows, n_features, this.config, row_seconds)
    notes = tuple(look(this.pool, rows, this.config.input))
    return replace(problem, notes=notes, model_bytes=embedder.spec.n_bytes)


def machine_of(spark: SparkSession, n_features: int) -> Machine:
    """Describe the session, as far as it says; the speed is assumed."""
    setting = partial(settings.setting, spark)
    slots, host = n_slots(spark), None if is_remote() else host_bytes()
    is_local = setting("spark.master", "local").startswith("local")
    unknown = "" if is_remote() else "1g"
    heap = executors.size_of(setting, "spark.driver.memory", unknown)
    max_result = size_bytes(setting("spark.driver.maxResultSize", unknown))
    workers, overhead = executors.n_workers(setting), executors.overhead(setting)
    # the workers share a container, or if there is none, the host
    room = overhead / workers if overhead else host / slots if is_local and host else 0.0
    return Machine(
        n_slots=slots,
        n_threads=n_threads(),
        heap=heap or math.inf,
        speed=assumed_speed(n_features),
        worker_limit=executors.own_limit(setting) or max(WORKER_LIMIT, room),
        host=host,
        is_local=is_local,
        max_result=max_result or math.inf,
        n_workers=workers,
        overhead=overhead,
    )


def _fitting(plan: Plan) -> Plan:
    if plan.refusals:
        raise GuardError("the plan does not fit: " + "; ".join(plan.refusals))
    return plan


def main(argv: Sequence[str] | None = None) -> int:
    """Plan a run."""
    from jobs.cli.command import job_main

    return job_main(show, argv, name="plan")


if __name__ == "__main__":
    sys.exit(main())
