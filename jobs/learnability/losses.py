"""The losses of a side, the online or the reference model: found, pinned, and read by id.

They are read from a table or from the pool, or computed: see ``LossesConfig``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, NullType, NumericType, StringType

from jobs.config.errors import InputError
from jobs.config.model import RunConfig
from jobs.embedding.code import source_of
from jobs.pool.beside import column_of, content_of, opened, pinned
from jobs.pool.computing import say_why_code_failed
from jobs.pool.inputs import Pool
from jobs.pool.joining import RejectRule, require_same_ids, with_reasons
from jobs.pool.vectors import as_vector
from jobs.reading.settings import settings_pinned
from jobs.sections.kinds import TableConfig
from jobs.sections.learnability import GflopConfig, LearnabilityConfig, LossesConfig
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.shipping import ship_code
from udfs.losses import (
    CENTROID_SCHEMA,
    VIEWS_SCHEMA,
    make_centroid,
    make_scorer,
    make_views,
    vectors_of_bytes,
)

VIEWS_ROWS = 256  # rows that are told apart together, about as many as in a training batch


# --- pinned ---------------------------------------------------------------------------------------


def losses_pinned(spark: SparkSession, config: RunConfig) -> RunConfig:
    """Return the config with the current fingerprints of the losses.

    Raises
    ------
    InputError
        If they cannot be read as described.
    ConfigError
        If the config names another fingerprint, or the user's code cannot be found.
    """
    given = config.learnability
    if given.source is None:
        return config
    found: dict[str, TableConfig] = {}
    for side, losses in given.sides.items():
        found[side] = _pinned(spark, f"learnability.{side}", losses, given.round)
    if (classifier := given.classifier) is not None:
        tables = {"clean": classifier.clean} | (
            {"seen": classifier.seen} if classifier.seen else {}
        )
        labelled = {
            name: _pinned(spark, f"learnability.classifier.{name}", table, given.round)
            for name, table in tables.items()
        }
        update = {"classifier": classifier.model_copy(update=labelled)}
        return config.model_copy(update={"learnability": given.model_copy(update=update)})
    return config.model_copy(update={"learnability": given.model_copy(update=found)})


def _pinned(spark: SparkSession, key: str, table: TableConfig, round_: int) -> TableConfig:
    pool, code = None, None
    if table.table is not None:
        pool = opened(spark, key, table.at(round_), id="id", content="id")
    if isinstance(table, LossesConfig) and table.model is not None:
        code = source_of(table.model, f"{key}.model").version
    return pinned(key, table, pool, code)


# --- read -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """The rows that losses are for.

    Attributes
    ----------
    rows : id, node_id
    leaves : id, leaf_id, of the tree; for losses by centroid
    seed : the run's seed
    """

    pool: Pool
    pool_id: str
    rows: DataFrame
    leaves: DataFrame
    seed: int


def read_losses(spark: SparkSession, side: str, losses: LossesConfig, source: Source) -> DataFrame:
    """Return a row for each id : id, loss (double), n_losses, the number of rows that differ.

    Raises
    ------
    InputError
        If an expression cannot be computed, or ids are of another type than the pool's.
    """
    key = f"learnability.{side}"
    id_ = losses.id or (source.pool_id if losses.table is None else "id")
    rows, name = source.pool.rows, source.pool.name
    if losses.table is not None:
        found = opened(spark, key, losses, id=id_, content=", ".join(losses.columns))
        rows, name = found.rows, found.name
    try:
        with settings_pinned(spark):
            columns = (content_of(rows, c).alias(f"c{i}") for i, c in _columns(losses))
            named = rows.select(column_of(rows, id_).alias("id"), *columns)
    except SPARK_ERRORS as error:
        raise InputError(
            f"{key}: id={id_!r}, {losses.form}={', '.join(losses.columns)!r} are no columns or "
            f"expressions over {name}, which has {rows.columns}: {reason(error)}"
        ) from error
    require_same_ids(key, source.rows, named)
    named = _typed(named, key, losses)
    named = named.where(F.col("id").isNotNull())
    if losses.form in ("views", "embedding"):  # a row can only be compared with rows of the pool
        named = named.join(source.leaves, on="id", how="inner")
    computed = _computed(spark, key, named, losses, source.seed)
    grouped = computed.groupBy("id")
    # rows that agree count once
    is_one = (F.max("loss") == F.min("loss")) & (F.count("loss") == F.count("*"))
    n_losses = F.when(is_one, 1).otherwise(F.count("*"))
    return grouped.agg(F.max("loss").alias("loss"), n_losses.alias("n_losses"))


def _typed(rows: DataFrame, key: str, losses: LossesConfig) -> DataFrame:
    """Return rows with vectors as arrays of numbers, and losses as double.

    Raises
    ------
    InputError
        If a column is of a type that holds no such thing.
    """
    if losses.form == "model":
        return rows
    for i, text in _columns(losses):
        name, kind = f"c{i}", rows.schema[f"c{i}"].dataType
        if losses.form == "loss":
            is_fit, want = isinstance(kind, NumericType | StringType | NullType), "a number"
            column = F.col(name).try_cast("double") if is_fit else F.lit(None)
        else:
            is_bytes = isinstance(kind, BinaryType)
            column = vectors_of_bytes(name) if is_bytes else as_vector(rows, F.col(name), kind)[0]
            found = rows.select(column.alias(name)).schema[name].dataType
            is_fit = isinstance(found, ArrayType) and isinstance(found.elementType, NumericType)
            want = "an array of numbers, or binary holding raw little-endian float32"
        if not is_fit:
            raise InputError(f"{key}: {losses.form}={text!r} is {kind.simpleString()}; want {want}")
        rows = rows.withColumn(name, column)
    return rows


def _columns(losses: LossesConfig) -> list[tuple[int, str]]:
    return list(enumerate(losses.columns))


def _computed(
    spark: SparkSession, key: str, rows: DataFrame, losses: LossesConfig, seed: int
) -> DataFrame:
    """Return each row's loss : id, loss."""
    form, scale = losses.form, losses.scale
    if form == "loss":
        return rows.select("id", F.col("c0").alias("loss"))
    if form == "pair":
        return rows.select("id", (scale * (1 - _cosine("c0", "c1"))).alias("loss"))
    if form == "embedding":
        hashed = rows.withColumn("hash", F.xxhash64("id"))
        schema = f"{_id_of(rows)}, {CENTROID_SCHEMA}"
        return hashed.groupBy("leaf_id").applyInArrow(make_centroid(scale), schema)
    if form == "views":
        hashed = rows.withColumn("hash", F.xxhash64("id", F.lit("views"), F.lit(seed)))
        n_groups = max(1, round(rows.count() / VIEWS_ROWS))
        grouped = hashed.withColumn("group", F.pmod("hash", F.lit(n_groups)))
        schema = f"{_id_of(rows)}, {VIEWS_SCHEMA}"
        return grouped.groupBy("group").applyInArrow(make_views(scale), schema)
    source = source_of(str(losses.model), f"{key}.model")
    if source.archive is not None:
        ship_code(spark, source.archive)
    score = make_scorer(source.code(losses.model_options), losses.reads)
    names = F.struct(*(f"c{i}" for i, _ in _columns(losses)))
    return rows.select("id", score(names).alias("loss"))


def _id_of(rows: DataFrame) -> str:
    return f"id {rows.schema['id'].dataType.simpleString()}"


def _cosine(a: str, b: str) -> Column:
    """Return the cosine of two columns of arrays, added up in order; null if lengths differ."""

    def dot(x: str, y: str) -> Column:
        products = F.zip_with(x, y, lambda u, v: u.cast("double") * v.cast("double"))
        return F.aggregate(products, F.lit(0.0), lambda total, each: total + each)

    # a vector of length 0 has no cosine
    cosine = F.try_divide(dot(a, b), F.sqrt(dot(a, a) * dot(b, b)))
    return F.when(F.size(a) == F.size(b), cosine)


def say_why_scoring_failed(error: BaseException) -> None:
    """Raise a helpful error if Spark's comes from the user's code or expressions.

    Raises
    ------
    ConfigError, InputError
        See ``say_why_code_failed``.
    """
    fix = "fix the row, or write what holds for it too, such as try_divide(a, b)"
    say_why_code_failed(error, "learnability", "learnability, model of a side", fix)


class Judged(NamedTuple):
    """Rows with losses, and what they cost.

    Attributes
    ----------
    rows : id, node_id, loss_online, loss_reference, reason, detail; loss_half_a and loss_half_b:
        of two references that were trained on different rows, null if there is one alone
    models : the classifiers used in place of a user's models
    """

    rows: DataFrame
    cost: GflopConfig
    models: Mapping[str, NDArray[Any]] | None = None


def judged(spark: SparkSession, given: LearnabilityConfig, source: Source) -> Judged:
    """Join all losses of a round to the source's rows."""
    sides = {
        side: read_losses(spark, side, losses.at(given.round), source)
        for side, losses in given.sides.items()
    }
    halves = {"half_a": "loss_reference", "half_b": "loss_second_reference"}
    nothing, is_told = F.lit(None).cast("double"), "second_reference" in sides
    named = {f"loss_{k}": F.col(v) if is_told else nothing for k, v in halves.items()}
    return Judged(with_losses(source.rows, sides).withColumns(named), given.gflop)


# --- joined ---------------------------------------------------------------------------------------


def with_losses(rows: DataFrame, losses: dict[str, DataFrame]) -> DataFrame:
    """Add the losses of each side to rows, and why a row cannot be scored.

    Parameters
    ----------
    rows : id, and more
    losses : side -> id, loss, n_losses

    Returns
    -------
    joined : rows, loss_<side> and n_<side> for each side, reason, detail
    """
    wrong: list[RejectRule] = []
    for side, found in losses.items():
        named = {"loss": f"loss_{side}", "n_losses": f"n_{side}"}
        rows = rows.join(found.withColumnsRenamed(named), on="id", how="left")
        wrong += _wrong(side)
    return with_reasons(rows, wrong)


def _wrong(side: str) -> list[RejectRule]:
    loss, n = F.col(f"loss_{side}"), F.col(f"n_{side}")
    is_finite = loss.isNotNull() & ~F.isnan(loss) & (F.abs(loss) < float("inf"))
    shown = F.concat(F.lit(f"{side}: "), F.coalesce(loss.cast("string"), F.lit("null")))
    return [
        RejectRule("no_loss", n.isNull(), F.lit(f"{side}: no row has this id")),
        RejectRule("duplicate_loss", n > 1, F.format_string(f"{side}: %d rows have this id", n)),
        RejectRule("bad_loss", ~is_finite, shown),
    ]
