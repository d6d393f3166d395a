"""The first rows of tables: Delta, Parquet, JSON lines and CSV, read without Spark."""

import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.config.errors import ConfigError
from jobs.starting.found import Found
from udfs.readers import arrow_files
from udfs.readers.csv_checks import (
    SEPARATORS,
    Dialect,
    look_csv,
    mixed_ends,
    odd_start,
    records,
    safe_header,
)
from udfs.readers.json_checks import by_columns, columns_of, look_json
from udfs.readers.parquet_checks import why_not_one
from udfs.readers.sources import Source
from udfs.readers.text_checks import Looks, encoding_of

N_ROWS = 500  # rows examined
_MOST_COUNTED = 1 << 24  # bytes, packed or not, of the file whose rows are counted
_MOST_FOOTERS = 100  # Parquet footers read to count rows, and to check that each file is whole
_HEAD = 2**20  # characters of CSV to find the header in
_LARGEST_LOOK = 2**24  # bytes of a file that is checked as a whole, as on opening the pool
_LARGEST_ARRAY = 2**28  # bytes of a JSON array, which has to be read as a whole


def delta(table: str, path: Path) -> Found:
    """Describe a Delta table by its log and its first file."""
    fields, files, partitions = _delta_state(path / "_delta_log")
    known = [path / file for file in files]
    # files of a table with renamed columns have other names
    physical = "delta.columnMapping.physicalName"
    names = {field["metadata"].get(physical, field["name"]): field["name"] for field in fields}
    rows = [{names.get(k, k): v for k, v in row.items()} for row in _first_rows(known)]
    n_rows, is_exact = _count(known)
    return Found(table, "a Delta table", n_rows, is_exact, rows=rows, partitions=partitions)


def parquet(table: str, files: Sequence[Path], partitions: Sequence[str]) -> Found:
    """Describe Parquet files."""
    for file in files[:_MOST_FOOTERS]:
        if wrong := why_not_one(Source(str(file))):
            raise ConfigError(f"{file}: {wrong}")
    require_names(pq.read_schema(files[0]).names)
    n_rows, is_exact = _count(files)
    rows = _first_rows(files)
    return Found(table, "Parquet", n_rows, is_exact, rows=rows, partitions=partitions)


def arrow(table: str, files: Sequence[Path], partitions: Sequence[str]) -> Found:
    """Describe Arrow files, or the streams that Hugging Face's datasets write."""
    first = next(arrow_files.batches_of(Source(str(files[0]))), None)
    rows = [] if first is None else _as_spark_has_them(first)
    return Found(table, "Arrow files", None, rows=rows, partitions=partitions)


def json_lines(table: str, files: Sequence[Path], partitions: Sequence[str]) -> Found:
    """Describe JSON lines, or an array of records."""
    _refuse_wrong(files[0], partial(look_json, is_document=None))
    with _opened(files[0]) as (text, done):
        start = text.read(1).lstrip()
        if start == "[":
            return _json_array(table, files, partitions)
        lines = (start + line if i == 0 else line for i, line in enumerate(text))
        try:
            filled = filter(str.strip, lines)
            rows = [_parsed(line) for line in islice(filled, N_ROWS)]
        except ValueError as error:
            raise ConfigError(f"{files[0]}: not one JSON record a line: {error}") from error
        n_rows, is_exact = _estimate(files, len(rows), filled, done)
    if len(rows) == 1 and (columns := columns_of(rows[0])):
        raise ConfigError(f"{files[0]}: {by_columns(columns)}")
    records = [row for row in rows if isinstance(row, dict)]
    return Found(table, "JSON lines", n_rows, is_exact, rows=records, partitions=partitions)


def csv_lines(table: str, files: Sequence[Path], partitions: Sequence[str]) -> Found:
    """Describe CSV with a header; other separators than commas become an option."""
    with _opened(files[0]) as (text, done):
        head = text.read(_HEAD) + text.readline()
        lines = io.StringIO(head, newline="")
        plain = next((line for line in head.splitlines() if not line.startswith("#")), "")
        dialect = Dialect(max(SEPARATORS, key=plain.count))
        if wrong := odd_start(head, dialect):
            raise ConfigError(f"{files[0]}: {wrong}")
        _refuse_wrong(files[0], partial(look_csv, dialect=dialect))
        read = records(chain(lines, text), dialect)
        names = safe_header(next(filter(None, read), []))
        filled = filter(None, read)
        rows = [dict(zip(names, row, strict=False)) for row in islice(filled, N_ROWS)]
        n_rows, is_exact = _estimate(files, len(rows), filled, done)
    options = {} if dialect.separator == "," else {"sep": dialect.separator}
    return Found(table, "CSV", n_rows, is_exact, rows=rows, partitions=partitions, options=options)


def _refuse_wrong(file: Path, look: Callable[[Source], Looks]) -> None:
    """Refuse a file that the pool's door would refuse, unless it is large: that takes a while."""
    if file.stat().st_size > _LARGEST_LOOK:
        return
    looks = look(Source(str(file)))
    wrong = mixed_ends(looks.mixed_line) if looks.mixed_line else looks.wrong
    if wrong:
        raise ConfigError(f"{file}: {wrong}")


def _parsed(text: str) -> Any:
    """Parse JSON whose names differ in more than case, as Spark wants them."""

    def record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        require_names([name for name, _ in pairs])
        return dict(pairs)

    return json.loads(text, object_pairs_hook=record)


def require_names(names: Sequence[str]) -> None:
    """Refuse names that differ only in case: Spark cannot tell such columns apart.

    Raises
    ------
    ConfigError
    """
    counts = Counter(name.lower() for name in names)
    twins = [name for name in names if counts[name.lower()] > 1]
    if twins:
        raise ConfigError(
            f"the columns {', '.join(map(repr, twins))} have one name, whatever its case; want "
            "names that differ otherwise: rename all but one"
        )


def _json_array(table: str, files: Sequence[Path], partitions: Sequence[str]) -> Found:
    if files[0].stat().st_size > _LARGEST_ARRAY:
        raise ConfigError(f"{files[0]}: one large JSON array; want one record a line")
    with _opened(files[0]) as (text, _):
        rows = [row for row in _parsed(text.read()) if isinstance(row, dict)]
    options = {"multiLine": "true"}
    n_rows, is_exact = len(rows) * len(files), len(files) == 1
    return Found(table, "a JSON array", n_rows, is_exact, rows[:N_ROWS], partitions, {}, options)


def _first_rows(files: Sequence[Path]) -> list[Mapping[str, Any]]:
    for file in files:
        for batch in arrow_files.batches_of(Source(str(file))):
            if batch.num_rows:
                return _as_spark_has_them(batch)
    return []


def _as_spark_has_them(batch: pa.RecordBatch) -> list[Mapping[str, Any]]:
    """Return rows whose small whole numbers are decimals: they are ids only as text."""
    small = (pa.int8(), pa.int16())
    kinds = [pa.decimal128(5) if kind in small else kind for kind in batch.schema.types]
    fields = zip(batch.schema.names, kinds, strict=True)
    return list(batch.slice(0, N_ROWS).cast(pa.schema([*fields])).to_pylist())


def _count(files: Sequence[Path]) -> tuple[int, bool]:
    """Count the rows of Parquet files by their footers; with many files, about."""
    counted = files[:_MOST_FOOTERS]
    n_rows = sum(pq.read_metadata(file).num_rows for file in counted)
    return n_rows * len(files) // max(1, len(counted)), len(counted) == len(files)


def _estimate(
    files: Sequence[Path], n_read: int, rest: Iterator[object], done: Callable[[], int]
) -> tuple[int, bool]:
    """Return the number of rows, counted as far as the first file's first bytes go.

    Parameters
    ----------
    n_read : rows read of the first file; ``rest`` are its others
    done : returns how many of its bytes are read
    """
    is_whole = True
    for _ in rest:
        n_read += 1
        if done() > _MOST_COUNTED:
            is_whole = False
            break
    if is_whole and len(files) == 1:
        return n_read, True
    size = sum(file.stat().st_size for file in files)
    n_bytes = files[0].stat().st_size if is_whole else done()
    return max(n_read, n_read * size // max(1, n_bytes)), False


def _delta_state(log: Path) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Return the fields, files and partition columns of a Delta table, by replaying its log."""
    fields: list[dict[str, Any]] = []
    files: dict[str, None] = {}
    partitions: list[str] = []
    for action in _actions(log):
        if metadata := action.get("metaData"):
            fields = json.loads(metadata["schemaString"])["fields"]
            partitions = list(metadata["partitionColumns"])
        if added := action.get("add"):
            files[unquote(added["path"])] = None
        if removed := action.get("remove"):
            files.pop(unquote(removed["path"]), None)
    return fields, list(files), partitions


def _actions(log: Path) -> Iterator[Mapping[str, Any]]:
    """Yield a log's actions in order: the last checkpoint's, then those of the commits after."""
    checkpoints = sorted(log.glob("*.checkpoint*.parquet"))
    last = checkpoints[-1].name[:20] if checkpoints else ""
    for checkpoint in (file for file in checkpoints if file.name.startswith(last)):
        yield from pq.read_table(checkpoint).to_pylist()
    for commit in sorted(log.glob("*.json")):
        if commit.name[:20] > last or not last:
            yield from map(json.loads, commit.read_text("utf-8").splitlines())


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[io.TextIOWrapper, Callable[[], int]]]:
    """Open a text file, compressed or not; also return how many of its bytes are read so far."""
    kind = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}.get(file.suffix)
    with _unpacked(file, kind) as (start, _):
        encoding = {"utf-8": "utf-8-sig"}.get(found := encoding_of(start.read(4)), found)
    with (
        _unpacked(file, kind) as (stream, raw),
        io.TextIOWrapper(stream, encoding, errors="replace", newline="") as text,
    ):
        yield text, raw.tell


@contextlib.contextmanager
def _unpacked(file: Path, kind: str | None) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    with file.open("rb") as raw:
        yield (pa.CompressedInputStream(raw, kind) if kind else raw), raw
