"""Files of CSV: options that follow from what is in them."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from functools import partial

from pyspark.sql import Row, SparkSession

from jobs.config.errors import InputError
from jobs.reading.files import Files, escaped
from jobs.reading.text_files import LATIN, TextOptions, mixed, python_codec
from jobs.reading.text_looks import looks_of
from udfs.readers.csv_checks import Dialect, look_csv, mixed_ends, safe_header

log = logging.getLogger(__name__)

_MOST_COLUMNS = 20_480  # Spark's default limit


def csv_options(spark: SparkSession, files: Files, given: Mapping[str, str]) -> TextOptions:
    """Return the options that the content of the files calls for; given ones take precedence.

    Raises
    ------
    InputError
        If quotes do not match, lines end in two ways where it matters, or files differ in what one
        reader has to know.
    """
    has = {key.lower(): value for key, value in given.items()}
    dialect = _dialect(files, has)
    is_plain = len(dialect.quote) <= 1
    looks = looks_of(spark, files, partial(look_csv, dialect=dialect)) if is_plain else []
    options: dict[str, str] = {"sep": dialect.separator} if dialect.separator == "\t" else {}
    ways: list[str] = []
    columns: tuple[str, ...] = ()
    if looks and has.get("header", "true").lower() == "true":
        if len(looks) == len(files.found):
            _refuse_other_headers(looks, files)
            options["enforceSchema"] = "true"  # Spark's own check refuses a header without a name
        header = json.loads(looks[0].header)
        if len(header) > _MOST_COLUMNS:
            options["maxColumns"] = str(len(header))
        if any(escaped(file.path) != file.path for file in files.found):
            columns = tuple(safe_header(header))  # Spark would take a folder for a pattern
    is_free = "linesep" not in has and not dialect.is_by_lines  # then line ends do not matter
    if looks and is_free and _end_as_on_windows(looks, files):
        options["lineSep"] = "\r\n"  # otherwise a line break inside quotes would become a \n
        ways.append("crlf")
    if "encoding" in has or "charset" in has:
        return TextOptions(options, tuple(ways), columns=columns)
    found = _encoded(looks, files, options, ways)
    return found if found.is_bytes else found._replace(columns=columns)


def _dialect(files: Files, has: Mapping[str, str]) -> Dialect:
    default = "\t" if all(".tsv" in name for name in files.names) else ","
    return Dialect(
        _unescaped(has.get("sep", has.get("delimiter", default))),
        has.get("quote", '"'),
        has.get("escape", '"') if len(has.get("escape", '"')) == 1 else "",
        has.get("comment", ""),
        python_codec(has),
        strict="unescapedquotehandling" not in has,
        is_by_lines=has.get("multiline", "true").lower() != "true",
    )


def _unescaped(separator: str) -> str:
    """Return a separator as Spark takes it: a backslash and a t are a tab."""
    signs = {"t": "\t", "r": "\r", "b": "\b", "f": "\f"}
    return re.sub(r"\\(.)", lambda found: signs.get(found[1], found[1]), separator)


def _end_as_on_windows(looks: Sequence[Row], files: Files) -> bool:
    """Return whether all lines end in CRLF.

    Raises
    ------
    InputError
        If the ends of lines differ, so that Spark would join lines, or change those inside quotes.
    """
    for file in looks:
        if file.ends == "mixed":
            raise InputError(
                f"input.table={files.path!r}: {file.path}: {mixed_ends(file.mixed_line)}"
            )
    if all(file.ends == "crlf" for file in looks):
        return True
    changed = next((f for f in looks if f.ends == "crlf" and f.crlf_line is not None), None)
    if changed is not None:
        other = next(file.path for file in looks if file.ends != "crlf")
        raise InputError(
            f"input.table={files.path!r}: {changed.path} has \\r\\n at the ends of lines, inside "
            f"quotes too (line {changed.crlf_line}), and {other} has not, so that these would come "
            "in as \\n; name the folder of one kind, or write them alike"
        )
    return False


def _encoded(
    looks: Sequence[Row], files: Files, options: dict[str, str], ways: list[str]
) -> TextOptions:
    """Add the encoding that the files' first bytes tell, or one in which all bytes are text."""
    is_wide = {file.encoding == "utf-16" for file in looks}
    if is_wide == {True}:
        return TextOptions(options | {"encoding": "UTF-16"}, (*ways, "utf16"))
    if len(is_wide) > 1:
        raise mixed(looks, files, "UTF-16", lambda file: file.encoding == "utf-16")
    if all(file.bad_byte is None for file in looks):
        return TextOptions(options, tuple(ways))
    bad = next(file for file in looks if file.bad_byte is not None)
    log.warning(
        "%s is not UTF-8 at byte %d; if it is of another encoding throughout, set "
        "input.options.encoding, such as windows-1252", bad.path, bad.bad_byte,
    )  # fmt: skip
    return TextOptions(options | {"encoding": LATIN}, (*ways, "bytes"), is_bytes=True)


def _refuse_other_headers(looks: Sequence[Row], files: Files) -> None:
    first = min(looks, key=lambda file: str(file.path))
    for file in looks:
        if file.header != first.header:
            raise InputError(
                f"input.table={files.path!r}: the header of {first.path} is {first.header}, that "
                f"of {file.path} is {file.header}; want one header in all files"
            )
