"""The pool's columns: a point's id, the value to embed, and the metadata to keep."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, DataType, NumericType, StringType

from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.pool.inputs import Pool
from jobs.pool.reading import MALFORMED, pinned
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.naming import quote
from jobs.spark.repeatable import require_repeatable

_EMBEDDABLE = {
    "embedding": "an array of numbers, or binary holding raw little-endian float32",
    "content": "string (texts, or paths of images) or binary (images, or texts in UTF-8)",
}


def pool_columns(pool: Pool, config: InputConfig, value: str) -> DataFrame:
    """Select what the stages need: ``id``, ``value`` and ``metadata``.

    If records can be broken, ``malformed`` holds the text of those that are.

    Parameters
    ----------
    value : the config key that names the value's column: ``content`` or ``embedding``

    Raises
    ------
    InputError
        If a column is missing, or of a type that cannot be an id or be embedded.
    """
    named = {f"input.{value}": getattr(config, value)} | {
        f"input.metadata[{i}]": column for i, column in enumerate(config.metadata)
    }
    known = [column for column in pool.rows.columns if column != MALFORMED]
    for key, column in named.items():
        if column not in known:
            raise InputError(f"{key}={column!r} is not a column of {pool.name}; it has {known}")
    try:
        with pinned(pool.rows.sparkSession):
            rows = _selected(pool.rows, config, named[f"input.{value}"])
    except SPARK_ERRORS as error:
        raise InputError(
            f"input.id={config.id!r} is no column or SQL expression over {pool.name}, which has "
            f"{known}: {reason(error)}"
        ) from error
    require_repeatable(rows, f"input.id={config.id!r}")
    kind = rows.schema["id"].dataType
    if kind.typeName() not in ("string", "integer", "long", "binary"):
        raise InputError(
            f"input.id={config.id!r} is {kind.simpleString()}; want string, int, bigint or binary, "
            f"such as cast({config.id} as string)"
        )
    kind = rows.schema["value"].dataType
    if not _can_embed(kind, value):
        raise InputError(
            f"input.{value}={named[f'input.{value}']!r} is {kind.simpleString()}; want "
            + _EMBEDDABLE[value]
        )
    return rows


def _selected(rows: DataFrame, config: InputConfig, value: str) -> DataFrame:
    metadata: list[Column] = []
    for column in config.metadata:
        metadata += [F.lit(column), F.col(quote(column)).cast("string")]
    described = F.create_map(*metadata) if metadata else F.lit(None).cast("map<string,string>")
    wanted = [
        F.expr(config.id).alias("id"),
        F.col(quote(value)).alias("value"),
        described.alias("metadata"),
    ]
    if MALFORMED not in rows.columns:
        return rows.select(*wanted)
    # the fields of a broken record may be shifted: they are no content
    broken, content = F.col(MALFORMED), wanted[1]
    wanted[1] = F.when(broken.isNull(), content).alias("value")
    return rows.select(*wanted, broken.alias("malformed"))


def nothing_in(rows: DataFrame, column: str) -> InputError:
    """Return the error for a pool without rows, or for a column that holds nothing."""
    if rows.isEmpty():
        return InputError("the pool is empty: no row is left to curate; check input.where")
    return InputError(f"{column} is null or empty on every row of the pool; check the column")


def _can_embed(kind: DataType, value: str) -> bool:
    if value == "content":
        return isinstance(kind, StringType | BinaryType)
    is_vector = isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType)
    return is_vector or isinstance(kind, BinaryType)
