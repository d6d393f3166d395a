"""Examine a CSV file before Spark parses it, for what its reader does not report."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from udfs.readers.sources import Source
from udfs.readers.text_checks import Looks, bad_byte, decoded, encoding_of, opened

SEPARATORS = ",;\t|"
_BY_LINES = "input.options.multiLine: false"
_LEAVE = "leave that option out"
_LATER = "so what follows cannot be told apart"


class Dialect(NamedTuple):
    """How CSV is written: one character each, or none; a separator may have several.

    Attributes
    ----------
    escape : what stands before a quote inside quotes; as a rule the quote itself
    comment : what a line begins with that is not read
    encoding : the encoding that the config names, if it does
    strict : whether text after a closing quote is refused
    is_by_lines : whether each line is a record, even where a quote is still open
    """

    separator: str = ","
    quote: str = '"'
    escape: str = '"'
    comment: str = ""
    encoding: str = ""
    strict: bool = True
    is_by_lines: bool = False


def look_csv(source: Source, *, dialect: Dialect) -> Looks:
    """Return what a file of CSV looks like, and what is wrong with it."""
    with opened(source) as file:
        content = file.read()
    encoding = dialect.encoding or encoding_of(content)
    is_bytes = encoding.startswith("utf-8") and not dialect.encoding
    text = decoded(content, encoding)
    separator = dialect.separator
    if len(separator) > 1:  # a character that the text does not hold stands in for it
        sign = next(sign for sign in map(chr, range(0xE000, 0xF900)) if sign not in text)
        text, dialect = text.replace(separator, sign), dialect._replace(separator=sign)
    found = _Scan(text, dialect)
    wrong = odd_start(text, dialect) or found.wrong
    if encoding.startswith("utf-8"):
        wrong = _unmarked(content) or wrong
    if dialect.is_by_lines and encoding.startswith(("utf-16", "utf-32")):
        kind = encoding.upper()
        wrong = f"it is in {kind}, whose characters {_BY_LINES} would cut; {_LEAVE}"
    names = next(filter(None, records(_rows_of(text, dialect), dialect)), [])
    header = [name.replace(dialect.separator, separator) for name in names]
    return Looks(
        encoding,
        bad_byte(content) if is_bytes else None,
        wrong=wrong,
        header=json.dumps(header),
        ends=found.ends,
        mixed_line=found.mixed_line,
        crlf_line=found.crlf_line,
    )


def _unmarked(content: bytes) -> str | None:
    """Return what to do if most letters at the beginning have a zero beside them."""
    start = content[:64]
    for kind, beside in {"UTF-16LE": start[1::2], "UTF-16BE": start[::2]}.items():
        if 2 * beside.count(0) > len(beside):
            return (
                "it begins with NUL bytes between letters, as UTF-16 without its mark; set "
                f"input.options.encoding: {kind}"
            )
    return None


def records(lines: Iterator[str], dialect: Dialect) -> Iterator[list[str]]:
    """Return the records of lines, each with its end."""
    csv.field_size_limit(2**31 - 1)
    return csv.reader(
        lines,
        delimiter=dialect.separator,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        doublequote=dialect.escape in ("", dialect.quote),
        escapechar=None if dialect.escape == dialect.quote else dialect.escape or None,
    )


def safe_header(names: Sequence[str]) -> list[str]:
    """Return the columns' names as Spark has them: those that are doubled or empty get a number."""
    lower = [name.lower() for name in names]
    return [
        f"_c{i}" if not name else f"{name}{i}" if lower.count(name.lower()) > 1 else name
        for i, name in enumerate(names)
    ]


def mixed_ends(line: int) -> str:
    """Return what to do about a file whose lines end in two ways: Spark would join some of them."""
    return (
        f"line {line} ends otherwise than those before it; want \\n or \\r\\n at the end of every "
        "line, or input.options.lineSep"
    )


def odd_start(text: str, dialect: Dialect) -> str | None:
    """Return what is wrong with lines before the header."""
    first, _, rest = text[: 1 << 20].partition("\n")
    if told := re.fullmatch(r"(?i)\"?sep=(.)\"?,*\s*", first):
        return (
            f"line 1 is {first.strip()!r}, which Excel writes for itself; delete this line and set "
            f"input.options.sep: {told[1]!r}"
        )
    if not first.startswith("#") or dialect.comment:
        return None
    below = next((line for line in rest.split("\n") if line.strip() and line[0] != "#"), "")
    if first.count(dialect.separator) == below.count(dialect.separator):
        return None  # a header may begin with this sign
    return (
        f"line 1 is a comment, {first.strip()[:60]!r}; delete such lines, or set "
        "input.options.comment: '#'"
    )


def _rows_of(text: str, dialect: Dialect) -> Iterator[str]:
    lines = io.StringIO(text, newline="")
    if not dialect.comment:
        return lines
    return (line for line in lines if not line.startswith(dialect.comment))


class _Scan:
    """One pass over the quotes of a file, by RFC 4180, or with another sign before inner quotes.

    Attributes
    ----------
    wrong : a quoted field that is never closed, is followed by text, or goes over several lines
        where each is a record; a second byte order mark
    ends : how records end: ``lf``, ``crlf``, ``mixed``, or empty if there is one line
    mixed_line, crlf_line : the first line that ends otherwise; the first CRLF inside quotes
    """

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text, self.dialect = text, dialect
        self.wrong: str | None = None
        self.mixed_line: int | None = None
        self.crlf_line: int | None = None
        self._n_crlf = self._n_lf = 0
        self._scan()

    @property
    def ends(self) -> str:
        if self._n_crlf and self._n_lf:
            return "mixed"
        return "crlf" if self._n_crlf else "lf" if self._n_lf else ""

    def _scan(self) -> None:
        text, (separator, quote, escape, *_) = self.text, self.dialect
        if not quote or not escape:
            self._count(0, len(text))
            return
        field, closed = _patterns(quote, escape, separator)
        starts = {separator, "\n", "\r"}
        counted = at = 0
        while (at := text.find(quote, at)) >= 0:
            if at and text[at - 1] not in starts:
                at += 1  # inside a plain field it is text
                continue
            self._count(counted, at)
            found = field.match(text, at)
            if found is None:
                self.wrong = self._open(at)
                return
            inner = text.find("\r\n", at, found.end())
            if inner >= 0 and self.crlf_line is None:
                self.crlf_line = self._line(inner)
            if self.dialect.is_by_lines and re.search(r"[\r\n]", found[0]):
                self.wrong = self._broken(at)
                return
            if closed.match(text, found.end()) is None and self.dialect.strict:
                self.wrong = self._followed(at, found.end())
                return
            counted = at = found.end()
        self._count(counted, len(text))

    def _count(self, start: int, stop: int) -> None:
        """Count the ends of lines outside quotes, and look at their beginnings."""
        mark = self.text.find("\n\ufeff", start, stop)
        if mark >= 0 and self.wrong is None:
            self.wrong = (
                f"line {self._line(mark + 1)} begins with a byte order mark, as where files were "
                "joined; want one file each, or no header and no mark inside of it"
            )
        n_crlf = self.text.count("\r\n", start, stop)
        n_lf = self.text.count("\n", start, stop) - n_crlf
        if self.mixed_line is None and (self._n_crlf + n_crlf) and (self._n_lf + n_lf):
            is_crlf = self._n_crlf > 0 or (not self._n_lf and self._begins_crlf(start))
            other = re.compile(r"(?<!\r)\n" if is_crlf else r"\r\n").search(self.text, start, stop)
            self.mixed_line = self._line(other.start()) if other else None
        self._n_crlf += n_crlf
        self._n_lf += n_lf

    def _begins_crlf(self, start: int) -> bool:
        at = self.text.find("\n", start)
        return at > 0 and self.text[at - 1] == "\r"

    def _line(self, at: int) -> int:
        return self.text.count("\n", 0, at) + 1

    def _open(self, at: int) -> str:
        return (
            f"the quoted field that begins at line {self._line(at)} is never closed, {_LATER}; "
            f"close it, or set input.options.quote{self._escaped()}"
        )

    def _broken(self, at: int) -> str:
        return (
            f"the quoted field that begins at line {self._line(at)} goes over several lines, and "
            f"with {_BY_LINES} each would be a record; {_LEAVE}"
        )

    def _followed(self, at: int, end: int) -> str:
        after = re.split(r"[\r\n]", self.text[end : end + 60])[0]
        return (
            f"the quoted field that begins at line {self._line(at)} is closed at line "
            f"{self._line(end)} and followed by {after!r}, {_LATER}; double the quotes inside "
            f"quotes, or close a quote before it{self._escaped()}"
        )

    def _escaped(self) -> str:
        """Return what helps if quotes follow a backslash, as in many languages."""
        if self.dialect.escape == "\\" or f"\\{self.dialect.quote}" not in self.text:
            return ""
        return "; if its quotes are written \\\" as in JSON, set input.options.escape: '\\'"


def _patterns(quote: str, escape: str, separator: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return patterns of a quoted field, and of what may follow it."""
    q, e = re.escape(quote), re.escape(escape)
    inside = f"[^{q}]*(?:{q}{q}[^{q}]*)*" if q == e else f"[^{q}{e}]*(?:{e}.[^{q}{e}]*)*"
    last = f"(?!{q})" if q == e else ""
    blanks = r"[ \t]*"
    return (
        re.compile(f"{q}{inside}{q}{last}", re.DOTALL),
        re.compile(rf"{blanks}(?:{re.escape(separator)}|[\r\n]|\Z)"),
    )
