"""Files of CSV, JSON and plain text: options that follow from what is in them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from jobs.config.errors import InputError
from jobs.reading.files import Files, escaped, few
from jobs.spark.naming import quote
from udfs.readers.text_checks import SCHEMA, look_into

log = logging.getLogger(__name__)

_LARGEST = 1 << 30  # bytes of a file that a worker looks into
_LATIN = "ISO-8859-1"  # every byte is a character: nothing is lost


class TextOptions(NamedTuple):
    """How files of text are read.

    Attributes
    ----------
    options : for Spark's reader
    ways : names of what is read differently than in earlier versions
    is_bytes : whether texts are read byte for byte, as some are not UTF-8
    """

    options: dict[str, str]
    ways: tuple[str, ...] = ()
    is_bytes: bool = False


def text_options(
    spark: SparkSession, kind: str, files: Files, given: Mapping[str, str]
) -> TextOptions:
    """Return the options that the content of the files asks for; given ones take precedence.

    Raises
    ------
    InputError
        If a quoted field of CSV is never closed, or files differ in what one reader has to know.
    """
    has = {key.lower(): value for key, value in given.items()}
    is_csv = kind == "csv"
    if is_csv:
        is_told = has.get("multiline", "true") != "true"
    else:
        is_told = "multiline" in has or not any(name.endswith(".json") for name in files.names)
    if is_told:
        return TextOptions({})
    default = "\t" if all(".tsv" in name for name in files.names) else ","
    separator = has.get("sep", has.get("delimiter", default))
    looks = _looks(spark, files, has.get("quote", '"') if is_csv else "", separator)
    return _of_csv(looks, has, files, separator) if is_csv else _of_json(looks, files)


def _looks(spark: SparkSession, files: Files, quote: str, separator: str) -> list[Row]:
    small = [escaped(file.path) for file in files.found if file.length <= _LARGEST]
    if len(small) < len(files.found):
        log.warning("files above 1 GiB are not checked for open quotes and their encoding")
    if not small or max(len(quote), len(separator)) > 1:
        return []
    contents = spark.read.format("binaryFile").load(small).select("path", "content")
    look = partial(look_into, quote=quote, separator=separator)
    return contents.mapInPandas(look, SCHEMA).collect()


def _of_csv(
    looks: Sequence[Row], has: Mapping[str, str], files: Files, separator: str
) -> TextOptions:
    for file in looks:
        if file.open_line is not None:
            raise InputError(
                f"input.table={files.path!r}: in {file.path} the quoted field that begins at line "
                f"{file.open_line} is never closed, so what follows cannot be told apart; close "
                "it, or set input.options.quote"
            )
    options, ways = ({"sep": separator} if separator == "\t" else {}), []
    if len(looks) == len(files.found) and has.get("header", "true") == "true":
        _refuse_other_headers(looks, files)
        options["enforceSchema"] = "true"  # Spark's own check refuses a header without a name
    if looks and all(file.ends_crlf for file in looks) and "linesep" not in has:
        options["lineSep"] = "\r\n"  # otherwise a line break inside quotes would become a \n
        ways.append("crlf")
    if "encoding" in has or "charset" in has:
        return TextOptions(options, tuple(ways))
    is_wide = {file.encoding == "utf-16" for file in looks}
    if is_wide == {True}:
        return TextOptions(options | {"encoding": "UTF-16"}, (*ways, "utf16"))
    if len(is_wide) > 1:
        raise _mixed(looks, files, "UTF-16", lambda file: file.encoding == "utf-16")
    if all(file.bad_byte is None for file in looks):
        return TextOptions(options, tuple(ways))
    bad = next(file for file in looks if file.bad_byte is not None)
    log.warning(
        "%s is not UTF-8 at byte %d; if it is of another encoding throughout, set "
        "input.options.encoding, such as windows-1252", bad.path, bad.bad_byte,
    )  # fmt: skip
    return TextOptions(options | {"encoding": _LATIN}, (*ways, "bytes"), is_bytes=True)


def _refuse_other_headers(looks: Sequence[Row], files: Files) -> None:
    first = min(looks, key=lambda file: str(file.path))
    for file in looks:
        if file.header != first.header:
            raise InputError(
                f"input.table={files.path!r}: the header of {first.path} is {first.header}, that "
                f"of {file.path} is {file.header}; want one header in all files"
            )


def _of_json(looks: Sequence[Row], files: Files) -> TextOptions:
    wide = [file.path for file in looks if file.encoding == "utf-16"]
    if wide:
        raise InputError(f"input.table={files.path!r}: {few(wide)} is in UTF-16; want UTF-8")
    is_document = {file.is_document for file in looks}
    if len(is_document) > 1:
        raise _mixed(looks, files, "one document of many lines", lambda file: file.is_document)
    if is_document == {True}:
        return TextOptions({"multiLine": "true"}, ("document",))
    return TextOptions({})


def _mixed(
    looks: Sequence[Row], files: Files, what: str, is_so: Callable[[Row], bool]
) -> InputError:
    some = [next(file.path for file in looks if is_so(file) is value) for value in (True, False)]
    return InputError(
        f"input.table={files.path!r}: {some[0]} is {what}, {some[1]} is not; name the folder of "
        "one kind, or write them alike"
    )


def as_utf8(rows: DataFrame) -> DataFrame:
    """Return texts that were read byte for byte as what their bytes are in UTF-8."""
    columns = []
    for field in rows.schema:
        name = field.name.encode(_LATIN).decode("utf-8", "replace").removeprefix("\ufeff")
        column = F.col(quote(field.name))
        if isinstance(field.dataType, StringType):
            column = F.encode(column, _LATIN).cast("string")
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
