"""Examine text files before Spark parses them: their encoding, and what is wrong with them."""

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import pandas as pd
import pyarrow as pa

from udfs.readers.sources import Source

SCHEMA = (
    "path string, encoding string, bad_byte bigint, wrong string, header string, ends string, "
    "mixed_line bigint, crlf_line bigint, is_document boolean"
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
    encoding : ``utf-8``, ``utf-8-sig`` or ``utf-16``, by its first bytes; or the one that is named
    bad_byte : CSV only: offset of the first byte that is not UTF-8; None if all are
    wrong : why it cannot be read as it is, and what to do; None if it can
    header : CSV only: the first record, as JSON
    ends : CSV only: how records end: ``lf``, ``crlf``, ``mixed``; empty for a single line
    mixed_line, crlf_line : CSV only: the first line that ends otherwise than those before it; the
        first CRLF inside quotes
    is_document : JSON only: whether it is one document of many lines, not a record per line
    """

    encoding: str
    bad_byte: int | None = None
    wrong: str | None = None
    header: str = ""
    ends: str = ""
    mixed_line: int | None = None
    crlf_line: int | None = None
    is_document: bool = False


def look_into(
    files: Iterator[pd.DataFrame], *, look: Callable[[Source], Looks]
) -> Iterator[pd.DataFrame]:
    """Examine files : path and content (null for local files) -> SCHEMA."""
    for batch in files:
        pairs = zip(batch["path"], batch["content"], strict=True)
        rows = [(path, *look(Source(path, content))) for path, content in pairs]
        frame = pd.DataFrame(rows, columns=["path", *Looks._fields])
        whole = {name: "Int64" for name in ("bad_byte", "mixed_line", "crlf_line")}
        yield frame.astype(whole)


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open a file, unpacked if its name ends in .gz, .bz2 or .zst."""
    codec = next((name for end, name in _CODECS.items() if source.path.endswith(end)), None)
    with source.open() as raw:
        yield pa.CompressedInputStream(raw, codec) if codec else raw


def encoding_of(content: bytes) -> str:
    """Return the encoding that a file's first bytes tell."""
    return next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")


def decoded(content: bytes, encoding: str) -> str:
    """Return the text of some bytes, without their mark; what is wrong in it becomes U+FFFD."""
    is_utf8 = encoding == "utf-8"
    return content.decode("utf-8-sig" if is_utf8 else encoding, "replace").removeprefix("\ufeff")


def bad_byte(content: bytes) -> int | None:
    """Return the offset of the first byte that is not UTF-8."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None
