"""Read webdataset shards: the members of a tar that share a name up to its first dot are a row.

Members without an ending are passed over, as webdataset does, and so are hidden ones.
A file is read to its end: several archives in one (``cat a.tar b.tar``) are read one after another,
and one without the zeros that end a tar is cut.
"""

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from udfs.readers.sources import Source, UnreadableError, as_text, read_as

BATCH_BYTES = 32 << 20  # bytes of content in an Arrow batch
PASSED_OVER = b"members passed over"  # metadata key: their names, as JSON
TEXTS = ("txt", "text", "caption", "json", "cls")  # endings whose members are texts
_BLOCK = tarfile.BLOCKSIZE
_UNPACKED: dict[bytes, Callable[[Any], Any]] = {  # by the first bytes of a file
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x28\xb5\x2f\xfd": lambda file: io.BytesIO(pa.CompressedInputStream(file, "zstd").read()),
}


def split_name(name: str) -> tuple[str, str] | None:
    """Return a member's key and ending: ``a/b.seg.png`` -> ``a/b``, ``seg.png``.

    None if it has no ending, or is hidden.
    """
    folder, _, file = name.removeprefix("./").rpartition("/")
    key, dot, ending = file.partition(".")
    if not (key and dot and ending):
        return None
    return (f"{folder}/{key}" if folder else key), ending.lower()


def schema_of(source: Source) -> tuple[pa.Schema, int]:
    """Return ``key`` and a column for each ending, and the number of rows.

    The names of members that are passed over are in the schema's metadata.

    Raises
    ------
    UnreadableError
        If it is not a tar, a key recurs after another, or a row has an ending twice.
    """
    endings: set[str] = set()
    keys: list[str] = []
    of_row: set[str] = set()
    passed_over: list[str] = []
    for key, ending, _ in _members(source, passed_over):
        if not keys or keys[-1] != key:
            keys.append(key)
            of_row = set()
        if ending in of_row or ending == "key":
            raise UnreadableError(
                f"{source.path}: the row {key!r} has two members, or a name, {ending!r}; want one "
                "member of each ending, and none called key"
            )
        of_row.add(ending)
        endings.add(ending)
    if len({*keys}) < len(keys):
        again = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise UnreadableError(
            f"{source.path} holds the members of {again!r} in two places; want those of one row "
            "side by side, as webdataset writes them"
        )
    fields = [
        (ending, pa.string() if ending in TEXTS else pa.binary()) for ending in sorted(endings)
    ]
    told = {PASSED_OVER: json.dumps(passed_over)}
    return pa.schema([("key", pa.string()), *fields], metadata=told), len(keys)


def batches_of(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows in the tar's order; a member that a row lacks is null.

    A batch has the columns that its rows have.
    """
    rows: list[dict[str, bytes]] = []
    size = 0
    for key, ending, read in _members(source, []):
        name = key.encode("utf-8", "surrogateescape")
        if not rows or rows[-1]["key"] != name:
            if size > BATCH_BYTES:
                yield _batch(rows)
                rows, size = [], 0
            rows.append({"key": name})
        content = read()
        rows[-1][ending] = content
        size += len(content)
    if rows:
        yield _batch(rows)


def _batch(rows: list[dict[str, bytes]]) -> pa.RecordBatch:
    columns = {}
    for name in sorted(set().union(*rows)):
        values = [row.get(name) for row in rows]
        is_text = name == "key" or name in TEXTS
        columns[name] = as_text(values) if is_text else pa.array(values, pa.binary())
    return pa.record_batch(columns)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file is not None else b""


def _members(
    source: Source, passed_over: list[str]
) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Yield each member's key, ending and reader; add the names of those that have none."""
    with read_as(source.path, "a tar"), source.open() as packed, _unpacked(packed) as file:
        start: int | None = 0
        place = "its beginning"
        while start is not None:
            file.seek(start)
            try:
                with tarfile.TarFile(fileobj=file) as tar:
                    for member in tar:
                        place = f"{member.name!r} at byte {member.offset:,}"
                        if not (member.isfile() or member.islnk() or member.issym()):
                            continue
                        if named := split_name(member.name):
                            yield *named, partial(_content, tar, member)
                        else:
                            passed_over.append(member.name)
                    start = _next_archive(file, tar.offset)
            except (tarfile.TarError, EOFError) as error:
                raise tarfile.ReadError(f"{error} after {place}") from error


def _unpacked(file: Any) -> Any:
    head = file.read(_BLOCK)
    file.seek(0)
    if head[257:262] == b"ustar":  # whatever its first member is called
        return file
    return next((unpack for start, unpack in _UNPACKED.items() if head.startswith(start)), _as_is)(
        file
    )


def _as_is(file: Any) -> Any:
    return file


def _next_archive(file: Any, end: int) -> int | None:
    """Return the byte at which another archive begins behind one that ends; None if none does.

    Raises
    ------
    tarfile.ReadError
        If there is no block of zeros, as at the end of a tar.
    """
    file.seek(end)
    block = file.read(_BLOCK)
    if block != bytes(_BLOCK):
        found = "no header" if len(block) == _BLOCK else "the file's end, and no end of a tar,"
        raise tarfile.ReadError(f"{found} at byte {end:,}")
    while block := file.read(_BLOCK):
        end += _BLOCK
        if block.strip(b"\0"):
            return end
    return None
