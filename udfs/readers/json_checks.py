"""Examine a JSON file before Spark parses it, which reads one record a line and drops the rest."""

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, BinaryIO

from udfs.readers.sources import Source
from udfs.readers.text_checks import Looks, bad_byte, decoded, encoding_of, opened

_BLOCK = 32 << 20  # bytes examined together, plus the line at their end
_LARGEST = 1 << 30  # bytes of a document, or of a line
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"
# cheap to look for: what a record is not to hold, or what may be a string's
_AFTER_BRACE = re.compile(r"\}[ \t,]*[^\s,]")
_HALF = re.compile(
    r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])"
)
_LIST = re.compile(r"\n[ \t]*\[")
_TOKENS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[{}\[\]]")


def look_json(source: Source, *, is_document: bool | None, encoding: str = "") -> Looks:
    """Return what a file of JSON looks like, and what is wrong with it.

    Parameters
    ----------
    is_document : whether it is read as one document; None to find out
    encoding : the encoding that the config names, if it does
    """
    with opened(source) as file:
        blocks = iter([file.read()]) if encoding else _blocks(file)
        start = next(blocks, b"")
        found = encoding or encoding_of(start)
        if found == "utf-16":
            return Looks(found, wrong="it is in UTF-16; want UTF-8")
        first = decoded(start, found)
        texts = chain([first], (decoded(block, found) for block in blocks))
        if is_document or (is_document is None and not _is_record(_first_line(first))):
            start_of, is_whole = _up_to(texts, _LARGEST)
            value, wrong = _document("".join(start_of)) if is_whole else (None, None)
            if value is not None or is_document:
                wrong = wrong or (None if encoding else _undecodable(source))
                return Looks(found, wrong=wrong, is_document=True)
            texts = chain(start_of, texts)
        return Looks(found, wrong=_in_lines(texts))


def columns_of(value: Any) -> list[str] | None:
    """Return the columns of JSON that holds a table by columns, as pandas writes it; else None."""
    if not isinstance(value, dict) or not value:
        return None
    inner = list(value.values())
    if not all(isinstance(column, dict) and column for column in inner):
        return None
    rows = [str(i) for i in range(len(inner[0]))]
    return [*value] if all([*column] == rows for column in inner) else None


def by_columns(columns: list[str]) -> str:
    """Return what to do about a table by columns."""
    return (
        f"it holds columns ({', '.join(map(repr, columns[:5]))}) of rows '0', '1', ..., as pandas "
        "writes it by default; want a record a line: df.to_json(path, orient='records', lines=True)"
    )


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file in blocks of whole lines."""
    rest = b""
    while block := file.read(_BLOCK):
        lines, end, rest = (rest + block).rpartition(b"\n")
        if end:
            yield lines + end
        elif len(rest) > _LARGEST:
            return  # a line that Spark cannot hold either
    if rest:
        yield rest


def _up_to(texts: Iterator[str], largest: int) -> tuple[list[str], bool]:
    """Return the texts up to a number of characters, and whether these are all."""
    found: list[str] = []
    size = 0
    for text in texts:
        found.append(text)
        size += len(text)
        if size > largest:
            return found, False
    return found, True


def _first_line(text: str) -> str:
    return text.lstrip().partition("\n")[0].strip()


def _is_record(line: str) -> bool:
    """Return whether a line is a record of its own, or at any rate begins no document."""
    if not line.startswith(("[", "{")):
        return True
    try:
        _DECODER.raw_decode(line)
    except ValueError:
        return False
    return True


def _document(text: str) -> tuple[Any, str | None]:
    """Return the document in a text, or None, and what is wrong with it."""
    try:
        value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip()))
    except ValueError:
        return None, None
    rest = text[end:].lstrip(_SPACE)
    if rest:
        return value, (
            f"a document ends at line {_line(text, end)} and {rest[:40]!r} follows, which Spark "
            "would drop; want a record a line (jq -c . FILE), or one array"
        )
    return value, _wrong_value(value)


def _undecodable(source: Source) -> str | None:
    """Return what is wrong with a document's bytes: Spark would find no column in it."""
    with opened(source) as file:
        at = bad_byte(file.read())
    return None if at is None else f"it is not UTF-8 at byte {at:,}; write it again in UTF-8"


def _wrong_value(value: Any) -> str | None:
    """Return what is wrong with a document: a table by columns, or halves of characters."""
    if columns := columns_of(value):
        return by_columns(columns)
    return _halves(value)


def _halves(value: Any) -> str | None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        return f"{half} is half a character, which no text can hold; write the whole, or leave it"
    return None


def _in_lines(texts: Iterator[str]) -> str | None:
    """Return what is wrong with a file of a record a line."""
    first, *second = islice(texts, 2)  # a last line without an end comes by itself
    if not second and (wrong := _lone_record(first)):
        return wrong
    n_before = 0
    for text in chain([first], second, texts):
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        starts = sorted({*_suspicious(text)})
        for start in starts:
            stop = text.find("\n", start)
            if wrong := _wrong_line(text[start : stop if stop >= 0 else len(text)]):
                return f"line {n_before + _line(text, start)}: {wrong}"
        n_before += text.count("\n")
    return None


def _lone_record(text: str) -> str | None:
    """Return what is wrong with a file of one record."""
    record = text.strip()
    if "\n" in record or "\r" in record or not record.startswith("{"):
        return None
    try:
        columns = columns_of(_DECODER.raw_decode(record)[0])
    except ValueError:
        return None
    return by_columns(columns) if columns else None


def _suspicious(text: str) -> Iterator[int]:
    """Yield where lines begin that may hold more than a record, or half a character."""
    if text.startswith("["):
        yield 0
    yield from (found.start() + 1 for found in _LIST.finditer(text))
    for pattern in (_AFTER_BRACE, _HALF):
        at = 0
        while found := pattern.search(text, at):
            yield text.rfind("\n", 0, found.start()) + 1
            at = text.find("\n", found.start())
            if at < 0:
                break


def _wrong_line(line: str) -> str | None:
    record = line.lstrip()
    if not record.startswith(("[", "{")):
        return None  # no record at all, which is a reject
    try:
        value, end = _DECODER.raw_decode(record)
    except ValueError:  # Spark may take it: single quotes, an INF
        value, end = None, _end(record)
    if rest := record[end:].strip(_SPACE + ","):
        return (
            f"{rest[:40]!r} follows the record, and Spark would drop it; want a record a line, "
            "without anything after it"
        )
    return _halves(value)


def _end(record: str) -> int:
    """Return where a record ends: its last bracket; all of it if none closes it."""
    depth = 0
    for token in _TOKENS.finditer(record):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth == 0 and token[0] in "}]":
            return token.end()
    return len(record)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
