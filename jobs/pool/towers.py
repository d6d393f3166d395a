"""Embeddings of pairs that a user's models left: read as the pool is, pinned, in whole numbers.

Pairs are an image and its text, or two views of one row.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, NumericType

from jobs.config.errors import InputError
from jobs.config.model import RunConfig
from jobs.pool.beside import column_of, content_of, opened, pinned
from jobs.pool.inputs import Pool
from jobs.pool.vectors import as_vector
from jobs.reading.settings import settings_pinned
from jobs.sections.batches import ApproximationConfig, TowersConfig
from jobs.spark.errors import SPARK_ERRORS, reason
from udfs.joint import PACKED_SCHEMA, make_pack

TOWERS = ("image", "text")
_FLOAT_BYTES = 4  # per number in binary vectors, little-endian float32


def towers_pinned(spark: SparkSession, config: RunConfig) -> RunConfig:
    """Return the config with the current fingerprints of the embeddings.

    Raises
    ------
    InputError
        If they cannot be read as described.
    ConfigError
        If the config names another fingerprint.
    """
    given = config.batches
    if given.learner is None:
        return config
    found: dict[str, object] = {
        key: _pinned(spark, key, towers) for key, towers in given.full.items()
    }
    if given.approximation is not None:
        cheaper = {
            key.split(".")[1]: _pinned(spark, key, towers) for key, towers in given.scoring.items()
        }
        found["approximation"] = ApproximationConfig(**cheaper)
    return config.model_copy(update={"batches": given.model_copy(update=found)})


def _pinned(spark: SparkSession, key: str, towers: TowersConfig) -> TowersConfig:
    return pinned(f"batches.{key}", towers, _opened(spark, key, towers))


def read_towers(spark: SparkSession, key: str, towers: TowersConfig) -> DataFrame:
    """Return the rows that have an id : id, image, text, as arrays of numbers or as bytes.

    Raises
    ------
    InputError
        If an expression cannot be computed, or is no vector.
    """
    texts = {name: getattr(towers, name) for name in ("id", *TOWERS)}
    return read_pairs(_opened(spark, key, towers).rows, f"batches.{key}", towers.table, texts)


def read_pairs(rows: DataFrame, key: str, place: str, texts: Mapping[str, str]) -> DataFrame:
    """Return the rows that have an id : id, two vectors, as arrays of numbers or as bytes.

    Parameters
    ----------
    key : the config key that names the rows' table
    place : the table
    texts : id and two names -> expressions

    Raises
    ------
    InputError
        If an expression cannot be computed, or is no vector.
    """
    try:
        with settings_pinned(rows.sparkSession):
            contents = {name: content_of(rows, texts[name]) for name in texts if name != "id"}
            columns = {"id": column_of(rows, texts["id"])} | contents
            named = rows.select(*(column.alias(name) for name, column in columns.items()))
    except SPARK_ERRORS as error:
        raise InputError(
            f"{key}: {', '.join(f'{k}={v!r}' for k, v in texts.items())} are no columns or "
            f"expressions over {place}, which has {rows.columns}: {reason(error)}"
        ) from error
    for name in _vectors(named):
        vector = as_vector(named, F.col(name), named.schema[name].dataType)
        named = named.withColumn(name, vector.values)
        kind = named.schema[name].dataType
        is_vector = isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType)
        if not (is_vector or isinstance(kind, BinaryType)):
            raise InputError(
                f"{key}.{name}={texts[name]!r} is {kind.simpleString()}; want an array of "
                "numbers, or binary holding raw little-endian float32"
            )
    return named.where(F.col("id").isNotNull())


def _vectors(rows: DataFrame) -> tuple[str, str]:
    first, second = (name for name in rows.columns if name != "id")
    return first, second


def packed_pairs(rows: DataFrame, key: str) -> DataFrame:
    """Return a row for each id : id, two vectors as whole numbers, reason, detail, n_rows.

    Rows that agree count once. A vector's right length is that of most pairs that have two of one
    length.

    Parameters
    ----------
    rows : see ``read_pairs``
    key : the config key that names their table

    Raises
    ------
    InputError
        If no pair has two of one length.
    """
    names = first, second = _vectors(rows)
    lengths = rows.select(*(_length(rows, name).alias(name) for name in names))
    equal = lengths.where((F.col(first) == F.col(second)) & (F.col(first) > 0))
    counted = equal.groupBy(first).agg(F.count("*").alias("n"))
    most = counted.orderBy(F.desc("n"), first).limit(1).collect()
    if not most:
        raise InputError(
            f"{key}: no row has two embeddings, {first} and {second}, of the same length; check "
            "both, which name their columns"
        )
    schema = PACKED_SCHEMA.format(*names, id=rows.schema["id"].dataType.simpleString())
    packed = rows.mapInArrow(make_pack(most[0][first], names), schema)
    # of an id's several rows that differ none counts: which comes first is arbitrary
    firsts = [F.first(name).alias(name) for name in (*names, "reason", "detail")]
    content = F.xxhash64(*names, "reason")
    n_rows = F.when(F.min(content) == F.max(content), 1).otherwise(F.count("*"))
    return packed.groupBy("id").agg(*firsts, n_rows.alias("n_rows"))


def _length(rows: DataFrame, name: str) -> Column:
    if isinstance(rows.schema[name].dataType, BinaryType):
        return (F.octet_length(name) / _FLOAT_BYTES).cast("int")
    return F.size(name)


def _opened(spark: SparkSession, key: str, towers: TowersConfig) -> Pool:
    columns = {"id": towers.id, "embedding": towers.image, "content": towers.text}
    return opened(spark, f"batches.{key}", towers, **columns)
