"""Embed the pool and turn away what cannot be clustered.

Reads    the pool: Delta, Parquet, JSON lines, CSV, text or image files, or a table name
Writes   embeddings: id, embedding; rejects: id, reason, detail; metadata; artifacts: the fitted
         embedder
Method   precomputed vectors, `lsa` for texts, `pixels` for images; see ``udfs.embedders``
Run      evenlake embed --config conf/quickstart.yaml
"""

import hashlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel
from threadpoolctl import threadpool_limits

from jobs.cli.command import stage_main
from jobs.config.errors import CurationError, GuardError, InputError
from jobs.config.model import EmbedConfig, RunConfig
from jobs.planning import costs
from jobs.points.surviving import hold, is_held
from jobs.pool.columns import nothing_in, pool_columns
from jobs.pool.ids import Id, is_id
from jobs.reporting.explanation import Explanation, Gate
from jobs.reporting.rows import Row
from jobs.reporting.size_rows import size_rows
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run, open_run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.spark.errors import SPARK_ERRORS
from jobs.spark.frames import as_table
from jobs.tables.shared import ARTIFACTS, REJECTS
from jobs.tables.table import GENERATION, Table
from udfs.blocks import from_bytes, to_bytes
from udfs.embed import make_gated_embed
from udfs.embedders import lsa, pixels, precomputed
from udfs.embedders.contract import Embedder
from udfs.shipping import Shipped

log = logging.getLogger(__name__)

EMBEDDINGS = Table(
    "embeddings",
    f"id {{id}}, column STRING, content_hash BINARY, {GENERATION}, embedding ARRAY<FLOAT>",
)
METADATA = Table("metadata", f"id {{id}}, metadata MAP<STRING,STRING>, {GENERATION}")
_FITTED = "name string, media_type string, sha256 string, content binary"


@dataclass(frozen=True, kw_only=True)
class Embedded(Outcome):
    """How many rows became points, and how long their vectors are."""

    n_pool: int
    n_rejected: int
    n_points: int
    n_features: int
    largest_norm: float


def gate_rows(
    rows: DataFrame, load_embedder: Callable[[], Embedder], config: EmbedConfig
) -> DataFrame:
    """Embed rows and mark what is wrong with each.

    Parameters
    ----------
    rows : id, value, metadata

    Returns
    -------
    gated : id, content_hash, metadata, embedding, norm, reason, detail; a reason, or an embedding
    """
    embed = make_gated_embed(
        load_embedder, normalize=config.normalize, batch_size=config.batch_size
    )
    doubled = rows.groupBy("id").count().where("count > 1").select("id", "count")
    marked = rows.join(doubled, on="id", how="left")
    gated = marked.withColumn("gated", embed("value"))
    is_doubled = F.col("count").isNotNull()
    reason = (
        F.when(F.col("id").isNull(), "null_id")
        .when(is_doubled, "duplicate_id")
        .otherwise(F.col("gated.reason"))
    )
    detail = F.when(
        is_doubled, F.concat(F.lit("the id stands on "), F.col("count"), F.lit(" rows"))
    ).otherwise(F.col("gated.detail"))
    return gated.select(
        "id",
        _content_hash(F.col("value")).alias("content_hash"),
        "metadata",
        F.when(reason.isNull(), F.col("gated.embedding")).alias("embedding"),
        "gated.norm",
        reason.alias("reason"),
        detail.alias("detail"),
    )


def _content_hash(value: Column) -> Column:
    """Return 16 bytes that name a content: two 64-bit hashes of different seeds."""
    halves = [F.lpad(F.hex(F.xxhash64(value, F.lit(seed))), 16, "0") for seed in (0, 1)]
    return F.unhex(F.concat(*halves))


def reject_giants(gated: DataFrame, max_norm_ratio: float) -> DataFrame:
    """Turn away vectors so long that they would coarsen everyone's grid."""
    median = gated.agg(F.median("norm")).collect()[0][0]
    if median is None:
        return gated
    limit = median * max_norm_ratio
    is_giant = F.col("reason").isNull() & (F.col("norm") > limit)
    detail = F.format_string(f"norm %.3g, the median is {median:.3g}", "norm")
    return gated.withColumns(
        {
            "embedding": F.when(~is_giant, F.col("embedding")),
            "detail": F.when(is_giant, detail).otherwise(F.col("detail")),
            "reason": F.when(is_giant, "norm_too_large").otherwise(F.col("reason")),
        }
    )


def _embed_what_stays(this: Work) -> Embedded:
    """Embed, and take nothing from files that changed meanwhile."""
    try:
        outcome = _embed(this)
    except SPARK_ERRORS as error:
        this.run.pool.say_why_unreadable(error)
        raise
    this.run.pool.require_unchanged()
    return outcome


def _embed(this: Work) -> Embedded:
    config = this.config
    rows = pool_columns(this.run.pool, config.input, config.embed.reads)
    # 1. an embedder, fitted where it has something to learn
    load, n_features = _embedder(this, rows)
    # 2. embed, mark what is wrong, and write
    embedded = _kept(gate_rows(rows, load, config.embed))
    try:
        return _write(this, embedded, n_features)
    finally:
        embedded.unpersist()


def _write(this: Work, embedded: DataFrame, n_features: int) -> Embedded:
    """Write what is wrong, and stop where that is too much; then write the rest."""
    config, ratio = this.config, this.config.hygiene.max_norm_ratio
    gated = embedded if config.embed.normalize else reject_giants(embedded, ratio)
    is_accepted = F.col("reason").isNull()
    counted = gated.agg(F.count("*").alias("n"), F.max(F.when(is_accepted, F.col("norm"))))
    n_pool, largest = counted.collect()[0]  # all of the pool has been read by now
    this.run.pool.require_unchanged()
    rejected = gated.where(~is_accepted).withColumn("stage", F.lit(STAGE.name))
    n_rejects = this.write(REJECTS, rejected)
    _guard_rejects(rejected, n_rejects, n_pool, config.hygiene.max_reject_fraction)
    accepted = gated.where(is_accepted)
    outputs = {EMBEDDINGS: accepted.withColumn("column", _column(config))}
    if config.input.metadata:
        outputs[METADATA] = accepted
    this.write_all(outputs)
    n_points = this.n_rows[EMBEDDINGS.name]
    if n_points + n_rejects != n_pool:
        raise CurationError(
            f"{n_pool} rows were read, but {n_points} points and {n_rejects} rejects are in the "
            "tables: they were cleaned meanwhile (evenlake runs clean); run the same command again"
        )
    if is_held(n_points, n_features):
        hold(this.run, STAGE, accepted)
    return Embedded(
        n_pool=n_pool,
        n_rejected=n_rejects,
        n_points=n_points,
        n_features=n_features,
        largest_norm=1.0 if config.embed.normalize else largest,
    )


def _column(config: RunConfig) -> Column:
    kinds = {"lsa": "text", "pixels": "image", "precomputed": "embedding"}
    return F.lit(kinds[config.embed.model])


def _kept(rows: DataFrame) -> DataFrame:
    """Keep the embedded rows while they are read several times, where the platform can.

    On disk: in memory, a pool larger than the heap ends in an OutOfMemoryError.
    """
    try:
        return rows.persist(StorageLevel.DISK_ONLY)
    except Exception:  # serverless has no cache: rows are embedded again
        return rows


def _guard_rejects(rejected: DataFrame, n_rejects: int, n_pool: int, limit: float) -> None:
    if n_rejects <= limit * n_pool and n_rejects < n_pool:
        return
    counts = rejected.groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
    reasons = ", ".join(f"{row.reason} {row['count']}" for row in counts)
    if n_rejects == n_pool:
        refused, fix = "so that none is left", "mend the pool"
    else:
        refused = f"more than hygiene.max_reject_fraction={limit}"
        fix = "mend the pool, or raise the limit"
    raise GuardError(
        f"{n_rejects} of {n_pool} rows were rejected ({reasons}), {refused}; the rejects table "
        f"names each row: {fix}"
    )


def _embedder(this: Work, rows: DataFrame) -> tuple[Callable[[], Embedder], int]:
    """Return the embedder's loader, and the length of its vectors."""
    embed = this.config.embed
    if embed.model == "precomputed":
        n_features = _common_length(rows, this.config.input.embedding)
        return lambda: precomputed.make_embedder(n_features), n_features
    sample = _fit_sample(rows, embed.fit_rows, this.config.seed)
    if not sample:
        raise nothing_in(rows, f"input.content={this.config.input.content!r}")
    seed, n_components = this.config.seed, embed.n_components
    try:
        with threadpool_limits(1):
            if embed.model == "lsa":
                arrays = lsa.fit(sample, n_components=n_components, seed=seed)
            else:
                arrays = pixels.fit(
                    sample,
                    n_components=n_components,
                    size=embed.image_size,
                    mode=embed.image_mode,
                    seed=seed,
                )
    except ValueError as error:
        raise InputError(f"embed.model={embed.model} cannot be fitted: {error}") from error
    return _shipped_embedder(this, arrays)


def _shipped_embedder(
    this: Work, arrays: dict[str, NDArray[Any]]
) -> tuple[Callable[[], Embedder], int]:
    """Keep the fitted arrays as an artifact and ship them to the workers.

    What is shipped is what was kept: an attempt before this one may have written other last bits.
    """
    content = to_bytes(arrays)
    name = f"{this.config.embed.model}.npz"
    row = (name, "application/x-npz", hashlib.sha256(content).hexdigest(), content)
    this.write(ARTIFACTS, as_table([row], _FITTED))
    if this.is_repeated:
        kept = this.lake.read(ARTIFACTS, this.key).where(F.col("name") == name)
        content = bytes(kept.select("content").collect()[0].content)
    shipped = this.ship(np.frombuffer(content, np.uint8))
    module = lsa if this.config.embed.model == "lsa" else pixels
    return _loader(shipped, module.make_embedder), from_bytes(content)["components"].shape[-1]


def _loader(shipped: Shipped, make: Callable[..., Embedder]) -> Callable[[], Embedder]:
    return lambda: make(from_bytes(shipped.get().tobytes()))


def _common_length(rows: DataFrame, column: str | None) -> int:
    """Return the length that most vectors have; ties go to the longer.

    Raises
    ------
    InputError
        If the column holds no vectors.
    """
    is_binary = rows.schema["value"].dataType.typeName() == "binary"
    length = F.octet_length("value") / 4 if is_binary else F.size("value")
    lengths = rows.where(F.col("value").isNotNull()).groupBy(length.cast("int").alias("n")).count()
    common = lengths.where("n > 0").orderBy(F.desc("count"), F.desc("n")).limit(1).collect()
    if not common:
        raise nothing_in(rows, f"input.embedding={column!r}")
    return int(common[0].n)


def _fit_sample(rows: DataFrame, n_rows: int, seed: int) -> list[Any]:
    """Bring the contents with the smallest id hashes to the driver."""
    ranked = rows.where(F.col("value").isNotNull() & F.col("id").isNotNull()).orderBy(
        F.xxhash64("id", F.lit("embed.fit"), F.lit(seed)), "id"
    )
    return [row.value for row in ranked.limit(n_rows).select("value").collect()]


def _accepted(run: Run) -> DataFrame:
    return run.read(STAGE, EMBEDDINGS).select("id", "embedding")


def _report(run: Run) -> list[Row]:
    embedded = run.outcome(STAGE)
    sizes = {name: getattr(embedded, name) for name in ("n_pool", "n_rejected", "n_points")}
    reasons = {}
    if embedded.n_rejected:
        counts = run.read(STAGE, REJECTS).groupBy("reason").count().collect()
        reasons = {row.reason: row["count"] for row in counts}
    return size_rows(sizes, reasons)


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Say what the gate said of an id."""
    said = ("stage", "reason", "detail")
    rejects = run.read(STAGE, REJECTS).where(is_id(id_)).select(*said)
    accepted = _accepted(run).where(is_id(id_))
    silent = accepted.select(*(F.lit(None).cast("string").alias(name) for name in said))
    rows = rejects.unionByName(silent).collect()
    if not rows:
        where = run.config.input.where
        gate = Gate("no such id in the pool" + (f" where {where}" if where else ""))
    elif rows[0].reason is None:  # of a doubled id, every row says the same
        gate = Gate("accepted")
    else:
        gate = Gate("rejected", *rows[0])
    return replace(so_far, gate=gate)


STAGE = Stage(
    name="embed_pool",
    version=2,
    reads=("seed", "input", "embed", "hygiene"),
    command="embed",
    summary="Embed the pool and turn away what cannot be clustered.",
    tables=(EMBEDDINGS, REJECTS, METADATA, ARTIFACTS),
    outcome=Embedded,
    work=_embed_what_stays,
    points=_accepted,
    cost=costs.embed,
    report=_report,
    explain=_explain,
)


def run(spark: SparkSession, config: RunConfig) -> Embedded:
    """Embed the pool, or reuse the embeddings that are there.

    Raises
    ------
    InputError
        If columns are missing, of the wrong type, or the pool is empty.
    GuardError
        If more than ``hygiene.max_reject_fraction`` of the pool was turned away.
    """
    return open_run(spark, config).do(STAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Embed the pool."""
    return stage_main(STAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
