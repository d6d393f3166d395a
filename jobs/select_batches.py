"""Select batches of pairs that a model can learn much from as a whole.

Reads    the surviving points, or one sample; two models' embeddings of images and texts, by id
Writes   batches: the drawn pairs in their order; batch_stats: what a batch teaches, beside a
         uniform and an independent draw; rejects
Method   JEST, arXiv 2406.17711: the contrastive loss of the learner on a batch minus that of a
         reference model; batches drawn from super-batches, chunk by chunk
Run      evenlake batches --config my.yaml batches.size=1632
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, embed_pool
from jobs.config.errors import ConfigError, InputError
from jobs.config.model import RunConfig
from jobs.pairing.page import batch_page, batch_rows
from jobs.pairing.pairs import Models, agreement, calibrated, pairs_of
from jobs.pairing.super_batches import super_batches
from jobs.planning import costs
from jobs.pool.ids import Id, is_id
from jobs.pool.towers import towers_pinned
from jobs.reporting.exported import exported
from jobs.reporting.rows import REPORT_COLUMNS, report_table
from jobs.reporting.side_page import render_side_page
from jobs.runs.explanation import Explanation, rejection
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.sources import require_source
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.batches import BatchesConfig
from jobs.tables.shared import REJECTS, REPORT
from jobs.tables.table import GENERATION, Table
from udfs.joint import DRAWN_SCHEMA, Drawing, make_draw

BATCHES = Table(
    "batches",
    "round INT, batch_id BIGINT, id {id}, chunk INT, position INT, g_diagonal DOUBLE, "
    f"g_joint DOUBLE, {GENERATION}",
)
BATCH_STATS = Table(
    "batch_stats",
    "round INT, batch_id BIGINT, size INT, joint_learnability DOUBLE, uniform_control DOUBLE, "
    "independent_control DOUBLE, loss_learner DOUBLE, loss_reference DOUBLE, filter_ratio DOUBLE",
)
_FIGURES = ("joint_learnability", "uniform_control", "independent_control")
_MOST_TASKS = 10_000


@dataclass(frozen=True, kw_only=True)
class Selected(Outcome):
    """What was drawn, and how much there is to learn from a batch, by pair, beside its controls.

    Attributes
    ----------
    n_left : pairs that are in no super-batch of the round
    rank_agreement : Spearman's, of the scoring models' gains with the full models'
    """

    n_pairs: int
    n_rejected: int
    n_batches: int
    n_drawn: int
    n_left: int
    joint_learnability: float
    uniform_control: float
    independent_control: float
    learner_temperature: float
    learner_bias: float
    reference_temperature: float
    reference_bias: float
    rank_agreement: float = 1.0


def _select(this: Work) -> Selected:
    given, seed = this.config.batches, this.config.seed
    # 1. the pairs to draw from, with both models' embeddings; those without are rejects
    ids = balance_sample.ids_of(this.run, given.source)
    found = this.persisted(pairs_of(this.spark, ids, given.scoring))
    rejects = found.where("reason IS NOT NULL").withColumn("stage", F.lit(STAGE.name))
    n_rejected = this.write(REJECTS, rejects)
    pairs = found.where("reason IS NULL")
    n_pairs = pairs.count()
    n_batches = _n_batches(given, n_pairs, n_rejected)
    # 2. how each model's cosines become logits
    models = calibrated(pairs, given, n_pairs=n_pairs, seed=seed)
    rank_agreement = agreement(this.spark, pairs, models, given, n_pairs=n_pairs, seed=seed)
    # 3. one batch of each super-batch
    drawn = this.persisted(_drawn(pairs, models, this.config, n_pairs, n_batches))
    n_drawn = this.write(BATCHES, drawn)
    stats = drawn.where("position = 0").toArrow().sort_by("batch_id")
    rows = batch_rows(given.source, stats)
    this.write_all({BATCH_STATS: stats, REPORT: report_table(rows, this.run.run_id)})
    learner, reference = models
    return Selected(
        n_pairs=n_pairs,
        n_rejected=n_rejected,
        n_batches=n_batches,
        n_drawn=n_drawn,
        n_left=n_pairs - n_batches * given.super_size,
        **{name: math.fsum(stats[name].to_numpy()) / n_batches for name in _FIGURES},
        learner_temperature=learner.temperature,
        learner_bias=learner.bias,
        reference_temperature=reference.temperature,
        reference_bias=reference.bias,
        rank_agreement=rank_agreement,
    )


def _n_batches(given: BatchesConfig, n_pairs: int, n_rejected: int) -> int:
    """Return how many batches there will be.

    Raises
    ------
    InputError
        If there are too few pairs.
    """
    if n_pairs == 0:
        raise InputError(
            f"batches: none of the {n_rejected} rows of {given.source!r} has embeddings by both "
            "models; the rejects table names each row: check batches.learner.id and reference.id"
        )
    n_whole = n_pairs // given.super_size
    if n_whole == 0:
        share = given.drawn_size / given.super_size
        fits = int(n_pairs * share) // given.chunks * given.chunks
        advice = f"size: {fits}" if fits and given.super_batch is None else "a smaller super_batch"
        raise InputError(
            f"batches: {n_pairs} pairs of {given.source!r} can be scored, fewer than one "
            f"super-batch of {given.super_size}; want {advice}, or more pairs"
        )
    if (given.batches_per_round or 0) > n_whole:
        raise InputError(
            f"batches.batches_per_round={given.batches_per_round}, but {n_pairs} pairs make "
            f"{n_whole} super-batches of {given.super_size}; want at most {n_whole}, or null"
        )
    return given.batches_per_round or n_whole


def _drawn(
    pairs: DataFrame, models: Models, config: RunConfig, n_pairs: int, n_batches: int
) -> DataFrame:
    """Draw a batch from every super-batch, each in one task : DRAWN_SCHEMA and what is constant."""
    given, size = config.batches, config.batches.super_size
    order = F.xxhash64("id", F.lit("batches"), F.lit(config.seed), F.lit(given.round))
    cut = super_batches(pairs, order, n_all=n_pairs, size=size, n_batches=n_batches)
    how = Drawing(
        given.loss, *models, size=given.drawn_size, n_chunks=given.chunks, prefilter=given.prefilter
    )
    spread = pairs.join(cut, on="id", how="inner").repartition(
        min(n_batches, _MOST_TASKS), "super_batch"
    )
    schema = DRAWN_SCHEMA.format(id=pairs.schema["id"].dataType.simpleString())
    constant = {
        "round": given.round,
        "size": given.drawn_size,
        "filter_ratio": 1 - given.drawn_size / size,
    }
    drawn = spread.groupBy("super_batch").applyInArrow(make_draw(how), schema)
    return drawn.withColumns({name: F.lit(value) for name, value in constant.items()})


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the batch that the pair is in, if any."""
    drawn = run.read(STAGE, BATCHES).where(is_id(id_)).collect()
    if drawn:
        row = drawn[0]
        said = (
            f"in batch {row.batch_id} of round {row.round}, drawn in chunk {row.chunk} at "
            f"{row.g_joint:.3g} ({row.g_diagonal:.3g} by itself)"
        )
    else:
        why = rejection(run.read(STAGE, REJECTS), id_)
        said = "in no batch" if why is None else f"not scored: {why.reason}, {why.detail}"
    return replace(so_far, notes=[*so_far.notes, f"batches: {said}"])


STAGE = Stage(
    name="select_batches",
    version=1,
    after=(embed_pool.STAGE, balance_sample.STAGE),
    reads=("seed", "batches"),
    is_side=True,
    pins=towers_pinned,
    is_on=lambda config: config.batches.learner is not None,
    command="batches",
    summary="Select batches of pairs that a model can learn much from as a whole.",
    tables=(BATCHES, BATCH_STATS, REJECTS, REPORT),
    outcome=Selected,
    work=_select,
    cost=costs.draw_batches,
    explain=_explain,
)


def select(this: Run) -> Selected:
    """Select batches, or reuse what was selected.

    Raises
    ------
    ConfigError
        If there is nothing to select from, or the pool has not been curated yet.
    InputError
        If too few rows have embeddings by both models.
    """
    given = this.written.batches
    if given.learner is None:
        raise ConfigError(
            "batches.learner is missing; want the table of the learner's embeddings, such as "
            "{table: /lake/learner, id: id, image: image, text: text}"
        )
    require_source(this, "batches.source", given.source)
    return this.do(STAGE)


def run(spark: SparkSession, config: RunConfig) -> Selected:
    """Select batches on a config; see ``select``."""
    return select(open_run(spark, config))


def _show(this: Run) -> str:
    done, given = select(this), this.written.batches
    page = _exported(this, done)
    rejects = f"; {done.n_rejected:,} rejects" if done.n_rejected else ""
    cheaper = (
        f"rank agreement of the approximation: {done.rank_agreement:.2f}\n"
        if given.approximation is not None
        else ""
    )
    return (
        f"{done.n_batches:,} batches of {given.drawn_size:,} pairs, each from {given.super_size:,} "
        f"of {done.n_pairs:,}; {done.n_left:,} left over in round {given.round}{rejects}\n"
        f"to learn from a batch, by pair: {done.joint_learnability:.3g}; drawn independently "
        f"{done.independent_control:.3g}, uniformly {done.uniform_control:.3g}\n"
        f"logits: learner {done.learner_temperature:.3g} x cosine {done.learner_bias:+.3g}, "
        f"reference {done.reference_temperature:.3g} x cosine {done.reference_bias:+.3g}\n"
        f"{cheaper}"
        f"table: {this.lake.shown(BATCHES.name)} (stage_key = {this.key(STAGE)})" + page
    )


def _exported(this: Run, done: Selected) -> str:
    """Write a page next to the tables, if those are on this machine; return a line that says so."""
    if (folder := this.lake.local_folder) is None:
        return ""
    said = (
        f"{done.n_batches:,} batches: {done.joint_learnability:.3g} to learn by pair; drawn "
        f"independently {done.independent_control:.3g}, uniformly {done.uniform_control:.3g}"
    )
    rows = this.fetch(STAGE, REPORT, REPORT_COLUMNS).to_pandas()
    tables = {name: this.lake.shown(name) for name in ("batches", "batch_stats")}
    page = batch_page(this.config, this.run_id, said, tables)
    name = f"{this.run_id}-batches-{this.key(STAGE)[:8]}"
    path = exported(folder, name, lambda: render_side_page(page, rows).encode(), is_kept=False)
    return f"\npage: {path}"


def main(argv: Sequence[str] | None = None) -> int:
    """Select batches."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="batches", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
