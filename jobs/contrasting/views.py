"""Two views of each point: given by the user's models, or made of the run's embeddings."""

from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import InputError
from jobs.config.model import RunConfig
from jobs.embedding.chosen import chosen
from jobs.embedding.code import source_of
from jobs.points.alike import embedded_alike
from jobs.points.surviving import size_of, surviving
from jobs.pool.beside import opened, pinned
from jobs.pool.columns import pool_columns
from jobs.pool.computing import say_why_code_failed
from jobs.pool.inputs import Pool
from jobs.pool.joining import RejectRule, require_same_ids, with_reasons
from jobs.pool.towers import packed_pairs, read_pairs
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.contrast import ViewsConfig
from jobs.spark.shipping import ship_code
from udfs.content_views import make_augment
from udfs.joint import PACKED_SCHEMA, make_pack
from udfs.views import Augment, Noise, UserCode, make_views

KEY = "contrast.views"
_NAMES = ("a", "b")


def views_pinned(spark: SparkSession, config: RunConfig) -> RunConfig:
    """Return the config with the current fingerprint of the views.

    Raises
    ------
    InputError
        If they cannot be read as described.
    ConfigError
        If the config names another fingerprint, or the user's code cannot be found.
    """
    given = config.contrast.views
    if given is None:
        return config
    pool = _opened(spark, given) if given.table is not None else None
    code = None if given.model is None else source_of(given.model, f"{KEY}.model").version
    views = pinned(KEY, given, pool, code)
    return config.model_copy(
        update={"contrast": config.contrast.model_copy(update={"views": views})}
    )


def _opened(spark: SparkSession, given: ViewsConfig) -> Pool:
    columns = {"id": given.id or "id", "embedding": str(given.a), "content": str(given.b)}
    return opened(spark, KEY, given, **columns)


def views_for(this: Work, embedded_by: Stage[Any], ids: DataFrame) -> DataFrame:
    """Join views to ids, and say why a row has none.

    Parameters
    ----------
    embedded_by : the stage that embedded the pool
    ids : id, and more

    Returns
    -------
    rows : ids' columns, a, b (whole numbers of length at most 4096), reason, detail

    Raises
    ------
    InputError
        If the views cannot be read as described.
    """
    given = this.config.contrast.views
    if given is None:
        raise InputError(f"{KEY} is missing; want two views of each row")
    if given.content is not None:
        found = _of_contents(this, given.content, embedded_by, ids)
    elif given.is_made:
        found = _made(this, given, ids)
    else:
        found = packed_pairs(_read(this, given, ids), KEY)
    rows = ids.join(found.withColumnsRenamed({"detail": "told"}), on="id", how="left")
    n = F.col("n_rows")
    wrong = [
        RejectRule("no_views", n.isNull(), F.lit("views: no row has this id")),
        RejectRule("duplicate_views", n > 1, F.format_string("views: %d rows have this id", n)),
        RejectRule(
            "bad_views", F.col("reason").isNotNull(), F.concat(F.lit("views."), F.col("told"))
        ),
    ]
    return with_reasons(rows, wrong).select(*ids.columns, "a", "b", "reason", "detail")


def _read(this: Work, given: ViewsConfig, ids: DataFrame) -> DataFrame:
    """Return the rows of the user's views : id, a, b."""
    pool = this.run.pool if given.table is None else _opened(this.spark, given)
    id_ = given.id or (this.config.input.id if given.table is None else "id")
    texts = {"id": id_, "a": str(given.a), "b": str(given.b)}
    rows = read_pairs(pool.rows, KEY, given.table or pool.name, texts)
    require_same_ids(KEY, ids, rows)
    return rows


def _made(this: Work, given: ViewsConfig, ids: DataFrame) -> DataFrame:
    """Make views of the run's embeddings : PACKED_SCHEMA, n_rows."""
    points = surviving(this.run).join(ids.select("id"), on="id", how="left_semi")
    seeded = [_seed(this, name).alias(f"seed_{name}") for name in _NAMES]
    schema = PACKED_SCHEMA.format(*_NAMES, id=ids.schema["id"].dataType.simpleString())
    made = points.select("id", "embedding", *seeded).mapInArrow(
        make_views(_augmentation(this, given)), schema
    )
    return made.withColumn("n_rows", F.lit(1))


def _seed(this: Work, name: str) -> Column:
    return F.xxhash64("id", F.lit(f"contrast.{name}"), F.lit(this.config.seed))


def _of_contents(this: Work, kind: str, embedded_by: Stage[Any], ids: DataFrame) -> DataFrame:
    """Embed the pool's contents, changed twice : PACKED_SCHEMA, n_rows."""
    config = this.config
    rows = pool_columns(this.run.pool, config.input, chosen(config).spec.reads)
    wanted = ids.select("id")
    # an id that is left in the pool has one content
    rows = rows.join(wanted, on="id", how="left_semi").dropDuplicates(["id"])
    augment = make_augment(kind, config.embed.image_mode)
    found = wanted
    for name in _NAMES:
        changed = rows.withColumn("value", augment("value", _seed(this, name)))
        embedded = embedded_alike(this, embedded_by, changed, KEY)
        found = found.join(
            embedded.select("id", F.col("embedding").alias(name)), on="id", how="inner"
        )
    schema = PACKED_SCHEMA.format(*_NAMES, id=ids.schema["id"].dataType.simpleString())
    pack = make_pack(size_of(this.run).n_features, _NAMES)
    return found.mapInArrow(pack, schema).withColumn("n_rows", F.lit(1))


def _augmentation(this: Work, given: ViewsConfig) -> Augment:
    if given.model is None:
        return Noise(float(given.noise or 0))
    source = source_of(given.model, f"{KEY}.model")
    if source.archive is not None:
        ship_code(this.spark, source.archive)
    return UserCode(source.code(given.model_options))


def say_why_views_failed(error: BaseException) -> None:
    """Raise a helpful error if Spark's comes from the user's code or expressions.

    Raises
    ------
    ConfigError, InputError
        See ``say_why_code_failed``.
    """
    say_why_code_failed(error, KEY, "contrast, the code that it calls", "fix the row")
