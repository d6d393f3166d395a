"""Read webdataset shards: the members of a tar that share a name up to its first dot are a row."""

import tarfile
from collections.abc import Callable, Iterator
from functools import partial

import pyarrow as pa

from udfs.readers.sources import Source, UnreadableError, as_text

BATCH_BYTES = 32 << 20  # of content in an Arrow batch
TEXTS = ("txt", "text", "caption", "json", "cls")  # endings whose members are texts


def split_name(name: str) -> tuple[str, str] | None:
    """Return a member's key and ending: ``a/b.seg.png`` -> ``a/b``, ``seg.png``; None if hidden."""
    folder, _, file = name.removeprefix("./").rpartition("/")
    key, dot, ending = file.partition(".")
    if not (key and dot and ending):
        return None
    return (f"{folder}/{key}" if folder else key), ending.lower()


def schema_of(source: Source) -> tuple[pa.Schema, int]:
    """Return ``key`` and a column for each ending, and the number of rows.

    Raises
    ------
    UnreadableError
        If it is no tar, a key comes again after another, or a row has an ending twice.
    """
    endings: set[str] = set()
    keys: list[str] = []
    of_row: set[str] = set()
    for key, ending, _ in _members(source):
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
    return pa.schema([("key", pa.string()), *fields]), len(keys)


def batches_of(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows in the tar's order; a member that a row lacks is null.

    A batch has the columns that its rows have.
    """
    rows: list[dict[str, bytes]] = []
    size = 0
    for key, ending, read in _members(source):
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


def _members(source: Source) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    try:
        with source.open() as file, tarfile.open(fileobj=file) as tar:
            for member in tar:
                has_content = member.isfile() or member.islnk() or member.issym()
                named = split_name(member.name) if has_content else None
                if named is not None:
                    yield *named, partial(_content, tar, member)
    except tarfile.TarError as error:
        raise UnreadableError(f"{source.path} cannot be read as a tar: {error}") from error
