"""Score what a model has yet to learn and can, and draw the next rows to train on by it.

Reads    the surviving points, or one sample; losses of two models by id, or a label of each row
Writes   learnability: a round's scores, and which rows are drawn; compute_ledger; rejects; report
Method   Bad Students Make Great Teachers, arXiv 2312.05328: the loss of the model in training minus
         that of a reference model; softmax draws without replacement, by Gumbel keys
Run      evenlake learnability --config my.yaml learnability.source=pool
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, embed_pool
from jobs.config.errors import ConfigError, InputError
from jobs.config.learnability import POOL, LearnabilityConfig
from jobs.config.model import RunConfig
from jobs.learnability import classified
from jobs.learnability.draws import drawn, place_of, scored
from jobs.learnability.losses import Judged, Source, judged, losses_pinned
from jobs.learnability.measured import (
    SAMPLED_ROWS,
    means_of,
    report_rows,
    worth_in,
)
from jobs.learnability.page import page_of
from jobs.learnability.rounds import Selection, Trainer, each_round, one_round
from jobs.learnability.worth import Scored, as_figures, compute_of, said_of
from jobs.planning import costs
from jobs.points.hash_sample import sample_rows
from jobs.points.surviving import surviving
from jobs.pool.ids import Id, is_id
from jobs.reporting.explanation import Explanation
from jobs.reporting.exported import exported
from jobs.reporting.rows import REPORT_COLUMNS, report_table
from jobs.runs.opening import open_run, reopened
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.spark.frames import as_table, kept_no_more, kept_on_disk
from jobs.tables.shared import ARTIFACTS, REJECTS, REPORT, artifact
from jobs.tables.table import GENERATION, Table

log = logging.getLogger(__name__)

LEARNABILITY = Table(
    "learnability",
    "round INT, id {id}, super_batch BIGINT, node_id BIGINT DEFAULT NULL, loss_online DOUBLE, "
    "loss_reference DOUBLE, hard DOUBLE, easy_reference DOUBLE, learnability DOUBLE, key DOUBLE, "
    f"is_selected BOOLEAN, {GENERATION}",
)
_LEDGER = (
    "round int, n_scored bigint, n_trained bigint, gflop_score double, gflop_train double, "
    "gflop_uniform double"
)
COMPUTE_LEDGER = Table("compute_ledger", _LEDGER.replace("double", "DOUBLE DEFAULT NULL"))


def _score(this: Work) -> Scored:
    given, seed = this.config.learnability, this.config.seed
    # 1. the rows to draw from, each with both losses; those without are rejects
    losses = _losses(this, given)
    joined = kept_on_disk(losses.rows)
    try:
        rejected = joined.where("reason IS NOT NULL").withColumn("stage", F.lit(STAGE.name))
        # 2. all criteria at once; the chosen one draws
        fit = joined.where("reason IS NULL")
        this.write_all({REJECTS: rejected, LEARNABILITY: drawn(scored(fit, given, seed), given)})
        n_rejected = this.n_rows[REJECTS.name]
        _require_some(given, this.n_rows[LEARNABILITY.name], n_rejected)
        # 3. what it is worth and what it took; classifiers learn from it
        return _measured(this, losses, fit, n_rejected)
    finally:
        kept_no_more(joined)


def _require_some(given: LearnabilityConfig, n_scored: int, n_rejected: int) -> None:
    if n_scored == 0:
        raise InputError(
            f"learnability: none of the {n_rejected} rows of {given.source!r} has both losses; the "
            "rejects table names each row: check learnability.online.id and reference.id, or the "
            "classifier's label"
        )


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
    if given.source == POOL:
        ids = surviving(run, "id")
    else:
        samples = run.read(balance_sample.STAGE, balance_sample.SAMPLES)
        ids = samples.where((F.col("sample") == given.source) & (F.col("replica") == 0))
    level = given.within_nodes
    if level is None:
        return ids.select("id", F.lit(None).cast("bigint").alias("node_id"))
    paths = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS)
    nodes = paths.select("id", F.col("path")[level - 1].alias("node_id"))
    return ids.select("id").join(nodes, on="id", how="inner")


def _measured(this: Work, losses: Judged, fit: DataFrame, n_rejected: int) -> Scored:
    """Write the report's rows, the ledger and what classifiers have learned."""
    given = this.config.learnability
    written = this.lake.read(LEARNABILITY, this.key)
    means = means_of(written)
    halves = fit.select("id", "loss_half_a", "loss_half_b")
    wanted = [("learnability.report", SAMPLED_ROWS)]
    (of_rows,) = sample_rows(written, wanted, means.n_scored, seed=this.config.seed)
    (of_halves,) = sample_rows(halves, wanted, means.n_scored, seed=this.config.seed)
    sample = of_rows
    for name in ("loss_half_a", "loss_half_b"):  # the same ids, in the same order
        sample = sample.append_column(name, of_halves[name])
    worth = worth_in(sample, given.keep)
    compute = compute_of(losses.cost, given.round, means.n_scored, means.n_selected)
    rows = report_rows(given, means, sample, compute, worth)
    ledger = as_table([(given.round, means.n_scored, means.n_selected, *compute)], _LEDGER)
    outputs = {REPORT: report_table(rows, this.run.run_id), COMPUTE_LEDGER: ledger}
    if losses.models is not None:
        content = classified.learned_from(this, losses.models, fit, written.where("is_selected"))
        outputs[ARTIFACTS] = artifact(classified.ARTIFACT, "application/x-npz", content)
    this.write_all(outputs)
    return Scored(
        n_scored=means.n_scored,
        n_selected=means.n_selected,
        n_rejected=n_rejected,
        mean_learnability=means.of_all["learnability"],
        mean_selected=means.of_selected["learnability"],
        worth=dict(as_figures(worth)),
        gflop={k: v for k, v in compute._asdict().items() if v is not None},
    )


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the row's score in the config's round, and whether it was drawn."""
    written = run.read(STAGE, LEARNABILITY)
    mine = written.where(is_id(id_))
    found = mine.collect()
    if not found:
        why = run.read(STAGE, REJECTS).where(is_id(id_)).select("reason", "detail").collect()
        said = f"not scored: {why[0].reason}, {why[0].detail}" if why else "not in the source"
        return replace(so_far, notes=[*so_far.notes, f"learnability: {said}"])
    row = found[0]
    ((place, n),) = place_of(written, mine).collect()
    among = "its super-batch" if row.node_id is None else f"node {row.node_id}"
    said = f"{'drawn' if row.is_selected else 'not drawn'}, {place} of {n} of {among}"
    note = f"learnability: scored {row.learnability:.3g} in round {row.round}, {said}"
    return replace(so_far, notes=[*so_far.notes, note])


STAGE = Stage(
    name="score_learnability",
    version=1,
    after=(cluster_levels.STAGE, balance_sample.STAGE),
    reads=("seed", "learnability"),
    is_side=True,
    pins=losses_pinned,
    is_on=lambda config: config.learnability.source is not None,
    command="learnability",
    summary="Score what a model has yet to learn, and draw the next rows to train on.",
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
    given, names = this.written.learnability, [s.name for s in this.written.samples]
    if given.source not in (POOL, *names):
        raise ConfigError(
            f"learnability.source={given.source!r}: want {POOL}, or the name of a sample: "
            f"{', '.join(names)}"
        )
    n_levels = len(this.config.cluster.levels)
    if given.within_nodes is not None and given.within_nodes > n_levels:
        raise ConfigError(
            f"learnability.within_nodes={given.within_nodes}, but the tree has {n_levels} levels; "
            "want one of them, or null"
        )
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

    def one(config: RunConfig) -> Selection:
        run = reopened(this, config) if config.learnability.round > first else this
        run.require_finished(STAGE)
        return _selected(run)

    first, n_rounds = this.written.learnability.round, this.written.learnability.n_rounds
    return [*islice(each_round(this.written, one, None), n_rounds)]


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
    last = said_of(this.written.learnability, found[-1], len(found) - 1)
    return "\n".join([*last, f"table: {this.lake.shown(LEARNABILITY.name)} ({keys})"])


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
