"""Score what a model has yet to learn and can, and draw the next rows to train on by it.

Reads    the surviving points, or one sample; two tables of losses, joined by id
Writes   learnability: every row's scores, and which are drawn; compute_ledger; rejects
Method   Bad Students Make Great Teachers, arXiv 2312.05328: the loss of the model in training minus
         that of a reference model; softmax draws without replacement, by Gumbel keys
Run      evenlake learnability --config my.yaml learnability.source=pool
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels
from jobs.config.errors import ConfigError, InputError
from jobs.config.learnability import POOL, LearnabilityConfig
from jobs.config.model import RunConfig
from jobs.points.surviving import surviving
from jobs.pool.losses import read_losses
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.tables.shared import REJECTS
from jobs.tables.table import GENERATION, Table

LEARNABILITY = Table(
    "learnability",
    "round INT, id {id}, super_batch BIGINT, node_id BIGINT DEFAULT NULL, loss_online DOUBLE, "
    "loss_reference DOUBLE, hard DOUBLE, easy_reference DOUBLE, learnability DOUBLE, key DOUBLE, "
    f"is_selected BOOLEAN, {GENERATION}",
)
COMPUTE_LEDGER = Table("compute_ledger", "round INT, n_scored BIGINT, n_trained BIGINT")
_SIDES = ("online", "reference")
_WHOLE = {"tinyint", "smallint", "int", "bigint"}  # types of ids that join as they are


@dataclass(frozen=True, kw_only=True)
class Scored(Outcome):
    """How many rows were scored and drawn over all rounds, and their mean learnability."""

    n_scored: int
    n_selected: int
    n_rejected: int
    mean_learnability: float
    mean_selected: float


def _score(this: Work) -> Scored:
    given, seed = this.config.learnability, this.config.seed
    # 1. the rows to draw from, each with both losses; those without are rejects
    joined = _with_losses(this, _source(this.run, given), given)
    n_rejected = this.write(REJECTS, joined.where("reason IS NOT NULL"))
    # 2. all criteria at once; the chosen one draws
    scored = _scores(joined.where("reason IS NULL"), given, seed)
    drawn = _drawn(scored, given)
    n_scored = this.write(LEARNABILITY, drawn)
    if n_scored == 0:
        raise InputError(
            f"learnability: none of the {n_rejected} rows of {given.source!r} has both losses; the "
            "rejects table names each row: check learnability.online.id and reference.id"
        )
    # 3. what it took
    written = this.lake.read(LEARNABILITY, this.key)
    selected = F.when(F.col("is_selected"), F.col("learnability"))
    ledger = written.groupBy("round").agg(
        F.count("*").alias("n_scored"), F.count(selected).alias("n_trained")
    )
    this.write(COMPUTE_LEDGER, ledger)
    ((mean, mean_selected, n_selected),) = written.agg(
        F.avg("learnability"), F.avg(selected), F.count(selected)
    ).collect()
    return Scored(
        n_scored=n_scored,
        n_selected=n_selected,
        n_rejected=n_rejected,
        mean_learnability=mean,
        mean_selected=mean if mean_selected is None else mean_selected,
    )


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
    return ids.select("id").join(nodes, on="id")


def _with_losses(this: Work, rows: DataFrame, given: LearnabilityConfig) -> DataFrame:
    """Add both losses, and why a row cannot be scored."""
    wrong: list[tuple[str, Column, Column]] = []
    for side in _SIDES:
        losses = read_losses(this.spark, side, getattr(given, side))
        _require_same_ids(side, rows, losses)
        named = {"loss": f"loss_{side}", "n_losses": f"n_{side}"}
        rows = rows.join(losses.withColumnsRenamed(named), on="id", how="left")
        loss, n = F.col(f"loss_{side}"), F.col(f"n_{side}")
        is_finite = loss.isNotNull() & ~F.isnan(loss) & (F.abs(loss) < float("inf"))
        shown = F.concat(F.lit(f"{side}: "), F.coalesce(loss.cast("string"), F.lit("null")))
        wrong += [
            ("no_loss", n.isNull(), F.lit(f"{side}: no row has this id")),
            ("duplicate_loss", n > 1, F.format_string(f"{side}: %d rows have this id", n)),
            ("bad_loss", ~is_finite, shown),
        ]
    reason = detail = F.lit(None).cast("string")
    for name, is_so, what in reversed(wrong):
        reason = F.when(is_so, name).otherwise(reason)
        detail = F.when(is_so, what).otherwise(detail)
    stage = F.lit(STAGE.name).alias("stage")
    return rows.select("*", reason.alias("reason"), detail.alias("detail"), stage)


def _require_same_ids(side: str, rows: DataFrame, losses: DataFrame) -> None:
    """Refuse ids of another type: Spark would compare them as numbers, or fail on a row."""
    mine, theirs = (each.schema["id"].dataType.simpleString() for each in (rows, losses))
    if mine != theirs and not {mine, theirs} <= _WHOLE:
        raise InputError(
            f"learnability.{side}.id is {theirs}, the pool's ids are {mine}; cast it, such as "
            f"id: cast(id as {mine})"
        )


def _scores(rows: DataFrame, given: LearnabilityConfig, seed: int) -> DataFrame:
    """Score every row in every round, and give it a key: its softmax draw is the largest keys."""
    online, reference = F.col("loss_online"), F.col("loss_reference")
    scores: dict[str, Column] = {
        "hard": online,
        "easy_reference": -reference,
        "learnability": online - reference,
        "uniform": F.lit(0.0),
    }
    rounds = F.explode(F.array(*map(F.lit, range(given.rounds)))).alias("round")
    n_super_batches = -(-1 // given.super_batch)  # rounded up

    def hashed(salt: str) -> Column:
        return F.xxhash64("id", F.lit(f"learnability.{salt}"), F.lit(seed), F.col("round"))

    # 52 bits, so that it is below 1; then Gumbel's distribution, by Spark's StrictMath logarithms
    uniform = (F.shiftrightunsigned(hashed("draw"), 12) + F.lit(0.5)) * F.lit(2.0**-52)
    gumbel = -F.log(-F.log(uniform))
    return rows.select("*", rounds).select(
        "round",
        "id",
        F.pmod(hashed("super_batch"), F.lit(int(n_super_batches))).alias("super_batch"),
        "node_id",
        "loss_online",
        "loss_reference",
        *(score.alias(name) for name, score in scores.items() if name != "uniform"),
        (scores[given.criterion] / F.lit(given.temperature) + gumbel).alias("key"),
    )


def _drawn(scored: DataFrame, given: LearnabilityConfig) -> DataFrame:
    """Mark the largest keys of every super-batch; within nodes, the same share of each."""
    groups = ["round", "super_batch", "node_id"]
    counts = scored.groupBy(*groups).agg(F.count("*").alias("n"))
    # cumulative rounding: whole numbers that add up to the share of the super-batch
    until = F.sum("n").over(Window.partitionBy("round", "super_batch").orderBy("node_id"))
    upto, before = (F.floor(F.lit(given.keep) * n + 0.5) for n in (until, until - F.col("n")))
    quotas = counts.select(*groups, (upto - before).alias("quota"))
    is_same = reduce(
        lambda a, b: a & b, (F.col(f"mine.{g}").eqNullSafe(F.col(f"theirs.{g}")) for g in groups)
    )
    with_quota = scored.alias("mine").join(quotas.alias("theirs"), is_same)
    place = F.row_number().over(
        Window.partitionBy(*(f"mine.{g}" for g in groups)).orderBy(F.desc("key"), "id")
    )
    return with_quota.select("mine.*", (place <= F.col("quota")).alias("is_selected"))


STAGE = Stage(
    name="score_learnability",
    version=1,
    after=(cluster_levels.STAGE, balance_sample.STAGE),
    reads=("seed", "learnability"),
    is_side=True,
    is_on=lambda config: config.learnability.source is not None,
    command="learnability",
    summary="Score what a model has yet to learn, and draw the next rows to train on.",
    tables=(LEARNABILITY, COMPUTE_LEDGER, REJECTS),
    outcome=Scored,
    work=_score,
)


def score(this: Run) -> Scored:
    """Score and draw, or reuse what was drawn.

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


def run(spark: SparkSession, config: RunConfig) -> Scored:
    """Score and draw on a config; see ``score``."""
    return score(open_run(spark, config))


def _show(this: Run) -> str:
    scored = score(this)
    rejects = f"; {scored.n_rejected:,} rejects" if scored.n_rejected else ""
    return (
        f"{scored.n_selected:,} of {scored.n_scored:,} rows drawn by "
        f"{this.written.learnability.criterion}: mean learnability {scored.mean_selected:.3g}, "
        f"{scored.mean_learnability:.3g} of all{rejects}\n"
        f"table: {this.lake.shown(LEARNABILITY.name)} (is_selected, stage_key = {this.key(STAGE)})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Score and draw."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="learnability", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
