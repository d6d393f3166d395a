"""Examine a Parquet file's two ends for what its readers do not report: another file before it.

A reader follows the footer at the end. Of two files joined by ``cat`` it finds the second one's
footer, whose offsets count from that one's beginning.
"""

import mmap
import re

import pyarrow as pa
import pyarrow.parquet

from udfs.readers.sources import Source

_MAGIC = b"PAR1"
_SEAM = re.compile(b"%b(?=%b)" % (_MAGIC, _MAGIC))  # where one file ends and another begins
_FIX = "want one a file: copy it again, or write the parts into files of their own"


def why_not_one(source: Source) -> str | None:
    """Return why a file is not one whole Parquet file; None if it is, or readers will say.

    Only its two ends are read, and as many bytes as the footer does not account for.
    """
    try:
        with source.open() as file:
            content = source.content or mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        return None
    if (footer := _footer(content, len(content))) is None:
        return None
    if content[: len(_MAGIC)] != _MAGIC:
        return f"it does not begin as Parquet does, with {_MAGIC.decode()}; {_FIX}"
    # for a single file, what follows its columns: indexes and filters, or nothing
    end = len(content) - footer.serialized_size - 2 * len(_MAGIC)
    unknown = max(0, end - _end_of_columns(footer))
    for seam in _SEAM.finditer(content, 0, unknown + len(_MAGIC)):
        if _footer(content, seam.end()) is not None:
            at = f"{seam.end():,}"
            return f"another Parquet file begins at byte {at}, as `cat` joins them; {_FIX}"
    return None


def _footer(content: bytes | mmap.mmap, end: int) -> pyarrow.parquet.FileMetaData | None:
    """Return the footer of the Parquet file that ends at a byte; None if none does."""
    try:
        return pyarrow.parquet.read_metadata(pa.BufferReader(memoryview(content)[:end]))
    except (OSError, pa.ArrowException):  # cut, encrypted, or no Parquet at all
        return None


def _end_of_columns(footer: pyarrow.parquet.FileMetaData) -> int:
    """Return the byte behind the columns of the last row group, as the footer counts."""
    if footer.num_row_groups == 0 or footer.num_columns == 0:
        return len(_MAGIC)
    group = footer.row_group(footer.num_row_groups - 1)
    columns = [group.column(i) for i in range(footer.num_columns)]
    return max(_start(column) + int(column.total_compressed_size) for column in columns)


def _start(column: pyarrow.parquet.ColumnChunkMetaData) -> int:
    is_first = column.has_dictionary_page
    return int(column.dictionary_page_offset if is_first else column.data_page_offset)
