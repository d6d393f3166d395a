"""Files of JSON: whether they are documents or lines, and numbers that would lose digits."""

from collections.abc import Iterator, Mapping
from functools import partial

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, StringType, StructField, StructType

from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.reading.files import Files
from jobs.reading.text_files import TextOptions, mixed, python_codec
from jobs.reading.text_looks import looks_of
from jobs.spark.naming import quote
from udfs.readers.json_checks import look_json

_WHOLE = r"^-?\d{16,}$"  # numbers without a fraction that a double may not hold


def json_options(spark: SparkSession, files: Files, given: Mapping[str, str]) -> TextOptions:
    """Return the options that the content of the files asks for; given ones take precedence.

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
    """Refuse whole numbers that came in as floats, as other rows have fractions there.

    Only columns that the config names are looked at: their numbers are read once more as text.

    Raises
    ------
    InputError
        If one of them loses digits.
    """
    named = " ".join([config.where or "", config.id, config.content or "", *config.metadata])
    known = [field for field in rows.schema if field.name.lower() in named.lower()]
    names = [name for field in known for name in _floats(field)]
    if not names:
        return
    texts = reader.schema(StructType([_as_text(field) for field in known])).load(paths)
    lost = [(name, _loses(F.col(_quoted(name)))) for name in names]
    for name, is_lost in lost:
        first = texts.where(is_lost).select(F.col(_quoted(name)).alias("text")).take(1)
        if first:
            raise InputError(
                f"input.table: the column {'.'.join(name)!r} holds {first[0].text} and numbers "
                "with a fraction, so that it would be read as a float and lose digits; write its "
                'numbers as text in every row ("..."), or without fractions'
            )


def _floats(field: StructField) -> Iterator[tuple[str, ...]]:
    """Yield the names of floats in a column; lists are vectors, and floats by nature."""
    if isinstance(field.dataType, DoubleType):
        yield (field.name,)
    if isinstance(field.dataType, StructType):
        for inner in field.dataType:
            yield from ((field.name, *name) for name in _floats(inner))


def _as_text(field: StructField) -> StructField:
    return StructField(field.name, _kind_as_text(field.dataType))


def _kind_as_text(kind: DataType) -> DataType:
    if isinstance(kind, StructType):
        return StructType([_as_text(inner) for inner in kind])
    return StringType() if isinstance(kind, DoubleType) else kind


def _quoted(name: tuple[str, ...]) -> str:
    return ".".join(map(quote, name))


def _loses(text: Column) -> Column:
    """Return whether a text is a whole number that a double does not hold."""
    exact = text.try_cast("decimal(38,0)")  # null: it has more digits
    held = text.try_cast("double").try_cast("decimal(38,0)")
    return text.rlike(_WHOLE) & F.coalesce(held != exact, F.lit(True))
