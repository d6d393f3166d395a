"""Texts as Spark reads them, turned into what they are; options for readers of CSV and JSON."""

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from jobs.config.errors import InputError
from jobs.reading.files import Files
from jobs.spark.naming import quote

LATIN = "ISO-8859-1"  # every byte is a character, so nothing is lost


class TextOptions(NamedTuple):
    """How files of text are read.

    Attributes
    ----------
    options : options for Spark's reader
    ways : names of what is read differently than in earlier versions
    is_bytes : whether texts are read byte for byte, as some are not UTF-8
    columns : columns of a CSV file, if Spark does not find them
    """

    options: dict[str, str]
    ways: tuple[str, ...] = ()
    is_bytes: bool = False
    columns: tuple[str, ...] = ()


def python_codec(has: Mapping[str, str]) -> str:
    """Return the encoding that a reader's options name, empty if none, as Python knows it."""
    named = has.get("encoding", has.get("charset", ""))
    try:
        return named and codecs.lookup(named).name
    except LookupError:
        return LATIN


def mixed(
    looks: Sequence[Row], files: Files, what: str, is_so: Callable[[Row], bool]
) -> InputError:
    """Return the error for files that differ in what one reader has to know."""
    some = [next(file.path for file in looks if is_so(file) is value) for value in (True, False)]
    return InputError(
        f"input.table={files.path!r}: {some[0]} is {what}, {some[1]} is not; name the folder of "
        "one kind, or write them alike"
    )


def as_utf8(rows: DataFrame) -> DataFrame:
    """Return texts that were read byte for byte as what their bytes are in UTF-8."""
    columns = []
    for field in rows.schema:
        name = field.name.encode(LATIN).decode("utf-8", "replace").removeprefix("\ufeff")
        column = F.col(quote(field.name))
        if isinstance(field.dataType, StringType):
            column = F.encode(column, LATIN).cast("string")
        columns.append(column.alias(name))
    return rows.select(*columns)


def whole_texts(rows: DataFrame) -> DataFrame:
    """Return whole files of text without their byte order mark, those of UTF-16 decoded."""
    content = F.col("value").cast("binary")
    mark = F.hex(F.substring(content, 1, 2))
    text = (
        F.when(mark.isin("FFFE", "FEFF"), F.decode(content, "UTF-16"))
        .when(F.hex(F.substring(content, 1, 3)) == "EFBBBF", F.expr("substring(value, 2)"))
        .otherwise(F.col("value"))
    )
    return rows.withColumn("value", text)
