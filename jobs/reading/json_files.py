"""Files of JSON: whether they are documents or lines, and numbers that would lose digits."""

import math
from collections.abc import Iterator, Mapping
from functools import partial, reduce
from operator import or_

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DoubleType, StringType, StructField, StructType

from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.reading.files import Files
from jobs.reading.text_files import TextOptions, mixed, python_codec
from jobs.reading.text_looks import looks_of
from jobs.spark.naming import quote
from udfs.readers.json_checks import look_json

_LONG = r"^-?\d{16,}(\.\d+)?$"  # numbers that a double may not hold
_NUMBER = r"^-?\d"
_EXACT = "decimal(38,6)"


def json_options(spark: SparkSession, files: Files, given: Mapping[str, str]) -> TextOptions:
    """Return the options that the content of the files calls for; given ones take precedence.

    Raises
    ------
    InputError
        If something would be lost: what follows a record, halves of characters.
    """
    has = {key.lower(): value for key, value in given.items()}
    if "linesep" in has:
        return TextOptions({})
    told = has.get("multiline")
    is_document = None if told is None else told.lower() == "true"
    look = partial(look_json, is_document=is_document, encoding=python_codec(has))
    looks = looks_of(spark, files, look, in_parts=True)
    kinds = {file.is_document for file in looks}
    if told is None and len(kinds) > 1:
        raise mixed(looks, files, "one document of many lines", lambda file: file.is_document)
    if told is None and kinds == {True}:
        return TextOptions({"multiLine": "true"}, ("document",))
    return TextOptions({})


def refuse_lost_digits(
    reader: DataFrameReader, paths: list[str], rows: DataFrame, config: InputConfig
) -> None:
    """Refuse long numbers that came in as floats, as other rows have fractions there.

    Only columns that the config names are examined: their numbers are read once more as text.

    Raises
    ------
    InputError
        If one of them loses digits.
    """
    named = " ".join([config.where or "", config.id, config.content or "", *config.metadata])
    known = [field for field in rows.schema if field.name.lower() in named.lower()]
    floats = [found for field in known for found in _floats(field)]
    if not floats:
        return
    texts = reader.schema(StructType([_as_text(field) for field in known])).load(paths)
    for name, kind in floats:
        column = F.col(".".join(map(quote, name)))
        lost = texts.where(_loses(column, kind)).select(column.cast("string").alias("text"))
        if found := lost.take(1):
            raise InputError(
                f"input.table: the column {'.'.join(name)!r} holds {found[0].text} and numbers "
                "with a fraction or of over 38 digits, so that it would be read as floats and lose "
                'digits; write its numbers as text in every row ("..."), or without fractions'
            )


def _floats(field: StructField) -> Iterator[tuple[tuple[str, ...], DataType]]:
    """Yield the names and types of columns, also inside of others, that have floats."""
    if isinstance(field.dataType, StructType):
        for inner in field.dataType:
            yield from (((field.name, *name), kind) for name, kind in _floats(inner))
    elif _kind_as_text(field.dataType) != field.dataType:
        yield (field.name,), field.dataType


def _as_text(field: StructField) -> StructField:
    return StructField(field.name, _kind_as_text(field.dataType))


def _kind_as_text(kind: DataType) -> DataType:
    if isinstance(kind, StructType):
        return StructType([_as_text(inner) for inner in kind])
    if isinstance(kind, ArrayType):
        return ArrayType(_kind_as_text(kind.elementType))
    return StringType() if isinstance(kind, DoubleType) else kind


def _loses(text: Column, kind: DataType) -> Column:
    """Return whether numbers, read as text, hold one that a double does not.

    Fractions are floats by nature, unless 16 or more digits precede them.
    """
    if isinstance(kind, ArrayType):
        return F.exists(text, lambda item: _loses(item, kind.elementType))
    if isinstance(kind, StructType):
        inner = [_loses(text.getField(field.name), field.dataType) for field in kind]
        return reduce(or_, inner, F.lit(False))
    if not isinstance(kind, DoubleType):
        return F.lit(False)
    double = text.try_cast("double")
    is_too_large = text.rlike(_NUMBER) & double.isin(math.inf, -math.inf)
    exact = text.try_cast(_EXACT)  # null: the number has more digits
    differs = F.coalesce(double.try_cast(_EXACT) != exact, F.lit(True))
    return is_too_large | (text.rlike(_LONG) & differs)
