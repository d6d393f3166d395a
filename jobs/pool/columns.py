"""The pool's columns: a point's id, the value to embed, and the metadata to keep."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    NumericType,
    StringType,
    StructType,
)

from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.pool.computing import computable
from jobs.pool.hints import meant
from jobs.pool.inputs import Pool
from jobs.pool.vectors import Vector, as_vector
from jobs.reading.files import Files, few
from jobs.reading.rows import MALFORMED, well_formed
from jobs.reading.settings import settings_pinned
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.naming import quote
from jobs.spark.repeatable import require_repeatable

_SEVERAL = ("UNSUPPORTED_GENERATOR", "INVALID_USAGE_OF_STAR")
_EMBEDDABLE = {
    "embedding": "an array of numbers, or binary holding raw little-endian float32",
    "content": "string (texts, or paths of images) or binary (images, or texts in UTF-8)",
}


@computable()
def pool_columns(
    pool: Pool, config: InputConfig, value: str, only: DataFrame | None = None
) -> DataFrame:
    """Select what the stages need: ``id``, ``value`` and ``metadata``.

    Each is a column, or a SQL expression over the columns. If records can be broken, or values be
    no vectors, ``malformed`` holds the text of those that are.

    Parameters
    ----------
    value : the config key that names the value's column: ``content`` or ``embedding``
    only : a few ids to keep, in a column ``id``; all by default

    Raises
    ------
    InputError
        If a column is missing, or of a type that cannot be an id or be embedded.
    """
    rows = pool.rows
    with settings_pinned(rows.sparkSession):
        id_ = _column(pool, "input.id", config.id)
        given, wrong = _vector_or_content(pool, f"input.{value}", getattr(config, value))
        metadata = _metadata(pool, config)
        malformed = [] if wrong is None else [wrong.alias("malformed")]
        if MALFORMED in rows.columns:
            # the fields of a broken record may be shifted, so they are not its content
            given = F.when(F.col(MALFORMED).isNull(), given)
            broken = F.col(MALFORMED)
            malformed = [(broken if wrong is None else F.ifnull(broken, wrong)).alias("malformed")]
        wanted = (id_.alias("id"), given.alias("value"), metadata.alias("metadata"))
        selected = rows.select(*wanted, *malformed)
        kinds = {field.name: field.dataType for field in selected.schema}
    require_repeatable(selected, f"input.id={config.id!r}")
    _require_types(config, value, kinds)
    if only is not None:
        selected = selected.join(F.broadcast(only), on="id", how="leftsemi")
    return selected if pool.pointed is None else pool.pointed.opened(selected)


def _require_types(config: InputConfig, value: str, kinds: Mapping[str, DataType]) -> None:
    """Refuse an ``id`` that cannot identify a point, or a ``value`` that cannot be embedded."""
    if kinds["id"].typeName() not in ("string", "integer", "long", "binary"):
        raise InputError(
            f"input.id={config.id!r} is {kinds['id'].simpleString()}; want string, int, bigint or "
            f"binary, such as cast({config.id} as string)"
        )
    if not _can_embed(kinds["value"], value):
        raise InputError(
            f"input.{value}={getattr(config, value)!r} is {kinds['value'].simpleString()}; want "
            + _EMBEDDABLE[value]
        )


def columns_of(pool: Pool) -> list[str]:
    """Return the names of the pool's columns."""
    return well_formed(pool.rows).columns


@computable()
def named_columns(
    pool: Pool,
    config: InputConfig,
    names: Sequence[str],
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> DataFrame:
    """Select ``id`` and columns of the pool as they are, except of broken records.

    Parameters
    ----------
    renamed : name -> another name for the column

    Raises
    ------
    InputError
        If one is missing.
    """
    known = columns_of(pool)
    for name in names:
        if name not in known:
            raise InputError(
                f"{name!r} is not a column of {pool.name}; it has {known}{meant(known, name)}"
            )
    with settings_pinned(pool.rows.sparkSession):
        id_ = _column(pool, "input.id", config.id)
        rows = pool.rows
        if MALFORMED in rows.columns:  # fields of broken records may be shifted
            rows = rows.where(F.col(MALFORMED).isNull())
        columns = [F.col(quote(name)).alias(renamed.get(name, name)) for name in names]
        return rows.select(id_.alias("id"), *columns)


def _column(pool: Pool, key: str, text: str) -> Column:
    """Return the column of a name or, if there is none, a SQL expression.

    Raises
    ------
    InputError
    """
    rows = well_formed(pool.rows)
    known = rows.columns
    if text in known:
        return F.col(quote(text))
    if key != "input.id" and re.fullmatch(r"\w+", text):
        raise InputError(
            f"{key}={text!r} is not a column of {pool.name}; it has {known}{meant(known, text)}"
        )
    try:
        found = F.expr(text)
        # inside a struct nothing may become several columns or rows
        _ = rows.select("*", F.struct(found.alias("one"))).columns
    except SPARK_ERRORS as error:
        if any(kind in str(error) for kind in _SEVERAL):
            raise InputError(
                f"{key}={text!r} makes several columns or rows of one; want one value a row: "
                "write them into a table first, or give a view of them as input.table"
            ) from error
        raise InputError(
            f"{key}={text!r} is no column or SQL expression over {pool.name}, which has "
            f"{known}: {reason(error)}" + (meant(known, text) or _instead(pool, key))
        ) from error
    return found


def _instead(pool: Pool, key: str) -> str:
    """Return what could be the id of a pool that has no such column."""
    if key != "input.id":
        return ""
    by_name = [c for c in pool.rows.columns if c.lower() in _LIKELY_IDS]
    if by_name:
        return f"; perhaps {by_name[0]}"
    if pool.files is not None and any(".parq" in file.path for file in pool.files.found):
        place = "concat_ws('#', _metadata.file_name, _metadata.row_index)"
        return f"; {place} is stable as long as the files are not written anew"
    return "; an id by content, such as sha2(text, 256), keeps one of the rows that are the same"


def judge_columns(
    pool: Pool, config: InputConfig, column: str, only: DataFrame | None = None
) -> DataFrame:
    """Select the second embedding : id, value.

    Raises
    ------
    InputError
        If the pool has no such column, or it holds no vectors.
    """
    read = config.model_copy(update={"embedding": column, "embedding_type": None, "metadata": []})
    try:
        return pool_columns(pool, read, "embedding", only).select("id", "value")
    except InputError as error:
        raise InputError(re.sub(r"\binput\.embedding\b", "report.judge", str(error))) from error


def _vector_or_content(pool: Pool, key: str, text: str) -> Vector:
    """Return the value's column, taken out of what libraries wrap it in."""
    column = _column(pool, key, text)
    kind = pool.rows.select(column.alias("value")).schema["value"].dataType
    if type(kind).__name__ == "VectorUDT":  # pyspark.ml takes a while to import
        from pyspark.ml.functions import vector_to_array

        return Vector(vector_to_array(column, "float64"))
    if key == "input.embedding":
        return as_vector(pool.rows, column, kind)
    if isinstance(kind, StructType) and "bytes" in kind.names:  # as Hugging Face keeps images
        return Vector(column.getField("bytes"))
    return Vector(column)


def _metadata(pool: Pool, config: InputConfig) -> Column:
    """Return the map of the metadata; bytes that are not UTF-8 become U+FFFD there."""
    parts: list[Column] = []
    for i, (text, name) in enumerate(zip(config.metadata, config.metadata_names, strict=True)):
        column = _column(pool, f"input.metadata[{i}]", text)
        parts += [F.lit(name), F.make_valid_utf8(column.cast("string"))]
    return F.create_map(*parts) if parts else F.lit(None).cast("map<string,string>")


def nothing_in(rows: DataFrame, column: str, files: Files | None = None) -> InputError:
    """Return the error for a pool without rows, or for a column that holds nothing."""
    if rows.isEmpty():
        there = "" if files is None else f" of {len(files.names):,} files ({few(files.names)})"
        return InputError(f"the pool is empty: no row{there} is left to curate; check input.where")
    return InputError(f"{column} is null or empty on every row of the pool; check the column")


def _can_embed(kind: DataType, value: str) -> bool:
    if value == "content":
        return isinstance(kind, StringType | BinaryType)
    is_vector = isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType)
    return is_vector or isinstance(kind, BinaryType)


_LIKELY_IDS = ("id", "uuid", "guid", "key", "_id", "doc_id", "document_id", "path", "url", "uri")
