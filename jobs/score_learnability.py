"""Score what a model has yet to learn and can, and draw the next rows to train on by it.

Reads    the surviving points, or one sample; losses of two models by id, or a label of each row
Writes   learnability: a round's scores, and which rows are drawn; compute_ledger; rejects; report
Method   Bad Students Make Great Teachers, arXiv 2312.05328: the loss of the model in training minus
         that of a reference model; softmax draws without replacement, by Gumbel keys
Run      evenlake learnability --config my.yaml learnability.source=pool
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice, takewhile

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, embed_pool
from jobs.config.errors import ConfigError, InputError
from jobs.config.model import RunConfig
from jobs.learnability import classified
from jobs.learnability.draws import drawn, scored
from jobs.learnability.explained import said_of_row
from jobs.learnability.losses import (
    Judged,
    Source,
    judged,
    losses_pinned,
    say_why_scoring_failed,
)
from jobs.learnability.measured import COMPUTE_LEDGER, LEARNABILITY, measured
from jobs.learnability.page import page_of
from jobs.learnability.rounds import Selection, Trainer, each_round, one_round
from jobs.learnability.worth import Scored, said_of
from jobs.planning import costs
from jobs.pool.ids import Id
from jobs.reporting.exported import exported
from jobs.reporting.rows import REPORT_COLUMNS
from jobs.runs.explanation import Explanation
from jobs.runs.opening import open_run, reopened
from jobs.runs.run import Run
from jobs.runs.sources import require_level, require_source
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.learnability import LearnabilityConfig
from jobs.spark.errors import SPARK_ERRORS
from jobs.tables.shared import ARTIFACTS, REJECTS, REPORT

log = logging.getLogger(__name__)


def _score(this: Work) -> Scored:
    given, seed = this.config.learnability, this.config.seed
    try:
        # 1. the rows to draw from, each with both losses; those without are rejects
        losses = _losses(this, given)
        joined = this.persisted(losses.rows)
        rejected = joined.where("reason IS NOT NULL").withColumn("stage", F.lit(STAGE.name))
        # 2. all criteria at once; the chosen one draws
        fit = joined.where("reason IS NULL")
        this.write_all({REJECTS: rejected, LEARNABILITY: drawn(scored(fit, given, seed), given)})
        n_rejected = this.n_rows[REJECTS.name]
        _require_some(given, this.n_rows[LEARNABILITY.name], n_rejected)
        # 3. what the draw is worth and what it cost; classifiers learn from it
        return replace(measured(this, losses, fit, n_rejected), age=_age(this, given))
    except SPARK_ERRORS as error:
        say_why_scoring_failed(error)
        raise


def _require_some(given: LearnabilityConfig, n_scored: int, n_rejected: int) -> None:
    if n_scored == 0:
        raise InputError(
            f"learnability: none of the {n_rejected} rows of {given.source!r} has both losses; the "
            "rejects table names each row: check learnability.online.id and reference.id, or the "
            "classifier's label"
        )


def _age(this: Work, given: LearnabilityConfig) -> int:
    """Return how many rounds in a row, up to the one before, drew by the same losses.

    It is 0 if draws do not depend on the model in training, or if code may load another model each
    time.
    """
    online, criterion = given.online, given.criterion
    is_by_code = online is None or online.form == "model"
    if given.round == 0 or is_by_code or criterion not in ("learnability", "hard"):
        return 0
    before = given.model_copy(update={"round": given.round - 1})
    drawn_before = this.run.ledger.figures(this.run.key_if(this.stage, {"learnability": before}))
    return 0 if drawn_before is None else 1 + int(drawn_before.get("age", 0))


def _losses(this: Work, given: LearnabilityConfig) -> Judged:
    """Return the source's rows with losses, and why each other one has none."""
    rows = _source(this.run, given)
    if given.classifier is not None:
        return classified.judged(this, embed_pool.STAGE, rows, given.classifier)
    leaves = this.run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS)
    source = Source(
        this.run.pool, this.config.input.id, rows, leaves.select("id", "leaf_id"), this.config.seed
    )
    return judged(this.spark, given, source)


def _source(run: Run, given: LearnabilityConfig) -> DataFrame:
    """Return the rows to draw from : id, node_id (null unless draws are within nodes)."""
    ids, level = balance_sample.ids_of(run, str(given.source)), given.within_nodes
    if level is None:
        return ids.select("id", F.lit(None).cast("bigint").alias("node_id"))
    paths = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS)
    nodes = paths.select("id", F.col("path")[level - 1].alias("node_id"))
    return ids.join(nodes, on="id", how="inner")


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the row's score in every round that was drawn, and whether it was drawn."""
    notes = []
    with suppress(ConfigError, InputError):  # later rounds may have no losses yet
        for each in takewhile(lambda one: one.has_finished(STAGE), _runs(run)):
            written, rejects = each.read(STAGE, LEARNABILITY), each.read(STAGE, REJECTS)
            notes.append(f"learnability: {said_of_row(written, rejects, id_)}")
    return replace(so_far, notes=[*so_far.notes, *notes])


STAGE = Stage(
    name="score_learnability",
    version=1,
    after=(cluster_levels.STAGE, balance_sample.STAGE),
    reads=("seed", "learnability"),
    is_side=True,
    pins=losses_pinned,
    is_on=lambda config: config.learnability.source is not None,
    command="learnability",
    summary="Score what a model has yet to learn, and draw the next rows to train on; --round N: "
    "that round alone.",
    tables=(LEARNABILITY, COMPUTE_LEDGER, REJECTS, REPORT, ARTIFACTS),
    outcome=Scored,
    work=_score,
    cost=costs.draw_round,
    explain=_explain,
)


def score(this: Run) -> Scored:
    """Score and draw one round, or reuse what was drawn.

    Raises
    ------
    ConfigError
        If there is nothing to draw from, or the pool has not been curated yet.
    InputError
        If no row has both losses.
    """
    given = this.written.learnability
    require_source(this, "learnability.source", given.source)
    require_level(this, "learnability.within_nodes", given.within_nodes)
    return this.do(STAGE)


def rounds(this: Run, trainer: Trainer | None = None) -> list[Scored]:
    """Score and draw all rounds, this run's first; train between them; say what each has drawn."""
    found: list[Scored] = []
    runs: list[Run] = []

    def one(config: RunConfig) -> Selection:
        run = reopened(this, config) if found else this
        found.append(score(run))
        runs.append(run)
        for line in said_of(run.written.learnability, found[-1]):
            run.progress.note(STAGE.name, line)
        return _selected(run)

    for selection in each_round(this.written, one, trainer):
        log.info("round=%d selection=%s", selection.round, selection.name)
    _export(this, found, runs)
    return found


def _export(this: Run, found: Sequence[Scored], runs: Sequence[Run]) -> None:
    """Write a page of all rounds next to the tables, if those are on this machine."""
    folder, given = this.lake.local_folder, this.written.learnability
    if folder is None:
        return
    rows = pa.concat_tables([run.fetch(STAGE, REPORT, REPORT_COLUMNS) for run in runs])
    said = said_of(given, found[-1], len(found) - 1)
    name = f"{this.run_id}-learnability-{runs[-1].key(STAGE)[:8]}"
    page = exported(folder, name, lambda: page_of(this, rows.to_pandas(), said), is_kept=False)
    this.progress.note(STAGE.name, f"page: {page}")


def selections(this: Run) -> list[Selection]:
    """Return what the config's rounds have drawn.

    Raises
    ------
    ConfigError
        If one of them has not been drawn.
    """
    found = []
    for run in _runs(this):
        run.require_finished(STAGE)
        found.append(_selected(run))
    return found


def _runs(this: Run) -> Iterator[Run]:
    """Yield the runs of the config's rounds, whether they have been drawn or not."""
    runs: list[Run] = []

    def one(config: RunConfig) -> Selection:
        runs.append(reopened(this, config) if runs else this)
        return _selected(runs[-1])

    n_rounds = this.written.learnability.n_rounds
    drawn_ = each_round(this.written, one, None, may_train=False)
    yield from (runs[-1] for _ in islice(drawn_, n_rounds))


def _selected(run: Run) -> Selection:
    rows = run.lake.read(LEARNABILITY, run.key(STAGE)).where("is_selected").select("id", "key")
    return Selection(run.written.learnability.round, rows, run.key(STAGE), run.written.seed)


def run(spark: SparkSession, config: RunConfig, trainer: Trainer | None = None) -> list[Scored]:
    """Score and draw the config's rounds; see ``score``.

    Parameters
    ----------
    trainer : is given each round's selection before the next round, to train on it; it returns
        what has changed in ``learnability.online``, such as ``{"table": ...}``, or None
    """
    return rounds(open_run(spark, config), trainer)


def _show(this: Run) -> str:
    found = rounds(this)
    keys = "stage_key, round, is_selected"
    given = this.written.learnability
    earlier = [said_of(given, each, i)[0] for i, each in enumerate(found[:-1])]
    last = said_of(given, found[-1], len(found) - 1)
    return "\n".join([*earlier, *last, f"table: {this.lake.shown(LEARNABILITY.name)} ({keys})"])


def main(argv: Sequence[str] | None = None) -> int:
    """Score and draw."""
    from jobs.cli.command import fail, job_main

    try:
        words = one_round(sys.argv[1:] if argv is None else argv)
    except ConfigError as error:
        return fail(error)
    return job_main(_show, words, name="learnability", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
