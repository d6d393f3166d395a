"""Look into files of CSV and JSON before Spark parses them, for what its readers do not say."""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

SCHEMA = (
    "path string, encoding string, bad_byte bigint, ends_crlf boolean, open_line bigint, "
    "is_document boolean, header string"
)
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


class Looks(NamedTuple):
    """What a text file looks like.

    Attributes
    ----------
    encoding : ``utf-8``, ``utf-8-sig`` or ``utf-16``, by its first bytes
    bad_byte : offset of the first byte that is not UTF-8; None if all are
    ends_crlf : whether its first line ends as on Windows
    open_line : of CSV: the line at which a quote begins that is never closed; None if there is none
    is_document : of JSON: whether it is one document of many lines, not a record a line
    header : of CSV: its first record, as JSON
    """

    encoding: str
    bad_byte: int | None
    ends_crlf: bool
    open_line: int | None
    is_document: bool
    header: str = ""


def look_into(
    files: Iterator[pd.DataFrame], *, quote: str, separator: str
) -> Iterator[pd.DataFrame]:
    """Look into files; path and content in, SCHEMA out.

    Parameters
    ----------
    quote, separator : of CSV, one character each; an empty quote for other text
    """
    for batch in files:
        rows = [
            (path, *look(unpacked(content, path), quote, separator))
            for path, content in zip(batch["path"], batch["content"], strict=True)
        ]
        frame = pd.DataFrame(rows, columns=["path", *Looks._fields])
        yield frame.astype({"bad_byte": "Int64", "open_line": "Int64"})


def look(content: bytes, quote: str = "", separator: str = ",") -> Looks:
    """Return what a text file looks like."""
    marks = (name for mark, name in _MARKS.items() if content.startswith(mark))
    encoding = next(marks, "utf-8")
    bad_byte = None if encoding == "utf-16" else _bad_byte(content)
    text = content.decode("utf-16" if encoding == "utf-16" else "utf-8-sig", "replace")
    line, end, _ = text.partition("\n")
    is_open = bool(quote) and text.count(quote) % 2 == 1
    return Looks(
        encoding,
        bad_byte,
        bool(end) and line.endswith("\r"),
        _open_line(text, quote, separator) if is_open else None,
        not quote and _is_document(text),
        _header(text, quote, separator) if quote else "",
    )


def unpacked(content: bytes, path: str) -> bytes:
    """Return the content of a file, unpacked if its name ends in .gz, .bz2 or .zst."""
    codec = next((name for ending, name in _CODECS.items() if path.endswith(ending)), None)
    if codec is None:
        return content
    return bytes(pa.CompressedInputStream(pa.BufferReader(content), codec).read())


def _header(text: str, quote: str, separator: str) -> str:
    records = csv.reader(io.StringIO(text, newline=""), quotechar=quote, delimiter=separator)
    return json.dumps(next(filter(None, records), []))


def _bad_byte(content: bytes) -> int | None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _open_line(text: str, quote: str, separator: str) -> int | None:
    """Return the line of the quote that is open at the end of a CSV file."""
    csv.field_size_limit(2**31 - 1)
    records = csv.reader(
        io.StringIO(text, newline=""), quotechar=quote, delimiter=separator, strict=True
    )
    n_read = 0
    try:
        for _ in records:
            n_read = records.line_num
    except csv.Error as error:
        return n_read + 1 if "unexpected end of data" in str(error) else None
    return None


def _is_document(text: str) -> bool:
    """Return whether a JSON file has to be parsed whole: its first line is not a record."""
    first = text.lstrip().partition("\n")[0].strip()
    if not first.startswith(("[", "{")):
        return False
    try:
        json.loads(first)
    except ValueError:
        pass
    else:
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
