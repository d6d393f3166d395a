"""Embed the pool and turn away what cannot be clustered.

Reads    the pool: Delta, Parquet, JSON lines, CSV, text or image files, or a table name
Writes   embeddings; rejects: id, reason, detail; metadata; artifacts: the fitted embedder
Method   the embedder of ``embed.model``
Run      evenlake embed --config conf/quickstart.yaml
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import CurationError, GuardError
from jobs.config.model import RunConfig
from jobs.embedding.chosen import (
    Chosen,
    chosen,
    code_identity,
    say_why_model_failed,
    ship_embedder,
)
from jobs.embedding.doubled import DUPLICATE, settle_doubled
from jobs.embedding.gating import TaskLayout, gate_rows, n_tasks, reject_giants
from jobs.embedding.learning import learned
from jobs.planning import costs
from jobs.points.surviving import hold, is_held
from jobs.pool.columns import pool_columns
from jobs.pool.ids import Id, is_id
from jobs.reporting.rows import Row
from jobs.reporting.size_rows import size_rows
from jobs.runs.explanation import Explanation, Gate
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.pace import paced
from jobs.runs.run import HANDED_BYTES, Run
from jobs.runs.stage import Stage
from jobs.runs.work import Rows, Work
from jobs.spark.classic import row_counter
from jobs.spark.errors import SPARK_ERRORS
from jobs.spark.frames import kept_no_more, kept_on_disk
from jobs.spark.session import n_slots
from jobs.tables.shared import ARTIFACTS, REJECTS, artifact
from jobs.tables.table import GENERATION, Table
from udfs.blocks import from_bytes, to_bytes
from udfs.embed import make_loader
from udfs.embedders.contract import Embedder

EMBEDDINGS = Table(
    "embeddings",
    f"id {{id}}, column STRING, content_hash BINARY, {GENERATION}, embedding ARRAY<FLOAT>",
)
METADATA = Table("metadata", f"id {{id}}, metadata MAP<STRING,STRING>, {GENERATION}")


@dataclass(frozen=True, kw_only=True)
class Embedded(Outcome):
    """How many rows became points, and the length of their vectors."""

    n_pool: int
    n_rejected: int
    n_points: int
    n_features: int
    largest_norm: float


def _embed_unchanged(this: Work) -> Embedded:
    """Embed, and fail if the input's files changed meanwhile."""
    try:
        outcome = _embed(this)
    except SPARK_ERRORS as error:
        say_why_model_failed(this.config, error)
        this.run.pool.say_why_unreadable(error)
        raise
    this.run.pool.require_unchanged()
    return outcome


def _embed(this: Work) -> Embedded:
    config = this.config
    embedder = chosen(config)
    rows = pool_columns(this.run.pool, config.input, embedder.spec.reads)
    # 1. an embedder, fitted if it has something to learn
    load, n_features, row_seconds = _embedder(this, rows, embedder)
    # 2. embed, mark what is wrong, and write
    layout = _layout_of(this, rows, row_seconds, embedder) if embedder.spec.is_costly else None
    embedded = kept_on_disk(gate_rows(rows, load, config.embed, layout))
    try:
        return _write(this, embedded, n_features, embedder.makes(rows), layout)
    finally:
        kept_no_more(embedded)


def _write(
    this: Work, embedded: DataFrame, n_features: int, column: str, layout: TaskLayout | None
) -> Embedded:
    """Write the rejects, and stop if there are too many; then write the rest."""
    config, ratio = this.config, this.config.hygiene.max_norm_ratio
    with _reporting_pace(this, layout):
        gated, found = embedded, _count(embedded)  # the whole pool has been read by now
    if found.n_repeated_ids:
        gated = settle_doubled(gated)
    if not config.embed.normalize:
        gated = reject_giants(gated, ratio, found.largest_norm)
    if gated is not embedded:  # the longest vector may be rejected; finding out costs a pass
        found = _count(gated)
    n_pool, largest = found.n_rows, found.largest_norm
    this.run.pool.require_unchanged()
    rejected = gated.where("reason IS NOT NULL").withColumn("stage", F.lit(STAGE.name))
    n_rejects = this.write(REJECTS, rejected)
    _guard_rejects(rejected, n_rejects, n_pool, config.hygiene.max_reject_fraction)
    accepted: Rows = gated.where("reason IS NULL").withColumn("column", F.lit(column))
    if is_held(n_pool, n_features) and (found.n_described or 0) <= HANDED_BYTES:
        accepted = hold(this.run, STAGE, accepted)
    outputs = {EMBEDDINGS: accepted}
    if config.input.metadata:
        outputs[METADATA] = accepted
    this.write_all(outputs)
    n_points = this.n_rows[EMBEDDINGS.name]
    if n_points + n_rejects != n_pool:
        raise CurationError(
            f"{n_pool} rows were read, but {n_points} points and {n_rejects} rejects are in the "
            "tables: they were cleaned meanwhile (evenlake runs clean); run the same command again"
        )
    this.run.n_bytes = 4.0 * n_points * n_features
    return Embedded(
        n_pool=n_pool,
        n_rejected=n_rejects,
        n_points=n_points,
        n_features=n_features,
        largest_norm=1.0 if config.embed.normalize else largest,
    )


class _Count(NamedTuple):
    """Figures of gated rows: those of the metadata's JSON are bytes."""

    n_rows: int
    largest_norm: float
    n_described: int | None
    n_repeated_ids: int  # rows besides the first of their id


def _count(gated: DataFrame) -> _Count:
    is_accepted = F.col("reason").isNull()
    size = F.sum(F.when(is_accepted, F.length(F.to_json("metadata"))))
    largest = F.max(F.when(is_accepted, F.col("norm")))
    id_ = F.when(F.col("is_named"), F.col("id"))
    n_repeated_ids = F.count(id_) - F.count_distinct(id_)
    return _Count(*gated.agg(F.count("*"), largest, size, n_repeated_ids).collect()[0])


def _guard_rejects(rejected: DataFrame, n_rejects: int, n_pool: int, limit: float) -> None:
    if n_rejects <= limit * n_pool and n_rejects < n_pool:
        return
    counts = rejected.groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
    n_bad = sum(row["count"] for row in counts if row.reason != DUPLICATE)
    if n_bad <= limit * n_pool and n_rejects < n_pool:
        return
    reasons = ", ".join(f"{row.reason} {row['count']}" for row in counts)
    if n_rejects == n_pool:
        refused, fix = "so that none is left", "fix the pool"
    else:
        refused = f"more than hygiene.max_reject_fraction={limit}"
        fix = "fix the pool, or raise the limit"
    raise GuardError(
        f"{n_rejects} of {n_pool} rows were rejected ({reasons}), {refused}; the rejects table "
        f"names each row: {fix}"
    )


def _embedder(
    this: Work, rows: DataFrame, embedder: Chosen
) -> tuple[Callable[[], Embedder], int, float]:
    """Return a function that loads the embedder, its vectors' length, and its seconds a row."""
    spec = embedder.spec
    arrays, row_seconds = learned(rows, embedder, this.config)
    ship_embedder(this.spark, spec)
    if spec.fit is None:
        return partial(spec.make, arrays), spec.n_features(arrays), row_seconds
    content = _kept_artifact(this, f"{spec.name}.npz", to_bytes(dict(arrays)))
    shipped = this.ship(np.frombuffer(content, np.uint8))
    return make_loader(spec.make, shipped), spec.n_features(from_bytes(content)), row_seconds


def _layout_of(this: Work, rows: DataFrame, row_seconds: float, embedder: Chosen) -> TaskLayout:
    n_rows = rows.count()
    tasks = n_tasks(n_rows, row_seconds, n_slots(this.spark))
    return TaskLayout(n_rows, tasks, row_counter(this.spark), embedder.spec.n_at_once)


def _reporting_pace(this: Work, layout: TaskLayout | None) -> AbstractContextManager[None]:
    """Show the pace of a costly embedder."""
    if layout is None:
        return nullcontext()
    counter = layout.counter
    n_done = None if counter is None else lambda: int(counter.value)
    return paced(this.progress, STAGE.name, layout.n_rows, n_done)


def _kept_artifact(this: Work, name: str, content: bytes) -> bytes:
    """Write what was fitted as an artifact, and return what is stored.

    An earlier attempt may have written an artifact that differs in its last bits.
    """
    this.write(ARTIFACTS, artifact(name, "application/x-npz", content))
    if not this.is_repeated:
        return content
    kept = this.lake.read(ARTIFACTS, this.key).where(F.col("name") == name)
    return bytes(kept.select("content").collect()[0].content)


def _accepted(run: Run) -> DataFrame:
    return run.read(STAGE, EMBEDDINGS).select("id", "embedding", "content_hash")


def _report(run: Run) -> list[Row]:
    embedded = run.outcome(STAGE)
    sizes = {name: getattr(embedded, name) for name in ("n_pool", "n_rejected", "n_points")}
    reasons = {}
    if embedded.n_rejected:
        counts = run.read(STAGE, REJECTS).groupBy("reason").count().collect()
        reasons = {row.reason: row["count"] for row in counts}
    return size_rows(sizes, reasons)


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the gate's verdict on an id."""
    verdict = ("stage", "reason", "detail")
    rejects = run.read(STAGE, REJECTS).where(is_id(id_)).select(*verdict)
    accepted = _accepted(run).where(is_id(id_))
    silent = accepted.select(*(F.lit(None).cast("string").alias(name) for name in verdict))
    rows = sorted(rejects.unionByName(silent).collect(), key=lambda row: row.reason is not None)
    if not rows:
        where = run.config.input.where
        gate = Gate("no such id in the pool" + (f" where {where}" if where else ""))
    elif rows[0].reason is None:  # rows of this id may be turned away as its duplicates
        gate = Gate("accepted")
    else:
        gate = Gate("rejected", *rows[0])
    return replace(so_far, gate=gate)


def described(run: Run) -> DataFrame:
    """Return the metadata of the accepted points as columns : id, and each by its name."""
    names = run.written.input.metadata_names
    if not names:
        return run.read(STAGE, EMBEDDINGS).select("id")
    columns = [F.col("metadata")[name].alias(name) for name in names if name.lower() != "id"]
    return run.read(STAGE, METADATA).select("id", *columns)


STAGE = Stage(
    name="embed_pool",
    version=2,
    reads=("seed", "input", "embed", "hygiene"),
    also_reads=code_identity,
    command="embed",
    summary="Embed the pool and turn away what cannot be clustered.",
    tables=(EMBEDDINGS, REJECTS, METADATA, ARTIFACTS),
    outcome=Embedded,
    work=_embed_unchanged,
    points=_accepted,
    cost=costs.embed,
    report=_report,
    explain=_explain,
)


def run(spark: SparkSession, config: RunConfig) -> Embedded:
    """Embed the pool, or reuse existing embeddings.

    Raises
    ------
    InputError
        If columns are missing or of the wrong type, or the pool is empty.
    ConfigError
        If the user's own code cannot be loaded, or fails.
    GuardError
        If more than ``hygiene.max_reject_fraction`` of the pool was rejected.
    """
    return open_run(spark, config).do(STAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Embed the pool."""
    from jobs.cli.command import stage_main

    return stage_main(STAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
