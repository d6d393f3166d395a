"""Read Parquet and Arrow files whose types Spark does not know, as the nearest types it knows."""

import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from udfs.readers.sources import Source, UnreadableError, read_as

BATCH_ROWS = 1024


def schema_of(source: Source) -> tuple[pa.Schema, int]:
    """Return the columns as they are stored, and the number of rows (-1: unknown).

    Raises
    ------
    UnreadableError
        If it is not such a file, or not complete.
    """
    with read_as(source.path, "Parquet or Arrow"):
        if _is_parquet(source):
            with source.open() as file:
                found = pyarrow.parquet.ParquetFile(file)
                schema, n_rows = found.schema_arrow, found.metadata.num_rows
        else:
            _require_whole(source)
            with source.open() as file:
                schema, n_rows = _reader(file).schema, -1
        for field in schema:
            _require_known(field, source.path)
        return schema.remove_metadata(), n_rows


def batches_of(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows, their columns cast to types that Spark knows; see `plain`."""
    with read_as(source.path, "Parquet or Arrow"), source.open() as file:
        if _is_parquet(source):
            batches = pyarrow.parquet.ParquetFile(file).iter_batches(BATCH_ROWS)
        else:
            reader = _reader(file)
            batches = (
                reader
                if isinstance(reader, pa.RecordBatchStreamReader)
                else map(reader.get_batch, range(reader.num_record_batches))
            )
        for batch in batches:
            columns = zip(batch.schema, batch.columns, strict=True)
            yield pa.record_batch({f.name: _cast(column, plain(f.type)) for f, column in columns})


def _require_known(field: pa.Field, path: str) -> None:
    """Refuse a column whose values cannot be cast, before any are read."""
    try:
        _cast(pa.nulls(0, field.type), plain(field.type))
    except (pa.ArrowException, AttributeError) as error:
        raise UnreadableError(
            f"{path}: column {field.name!r} is {field.type}, which cannot be read; write it again "
            "as another type, or leave it out"
        ) from error


def plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that Spark knows for an Arrow type: UUIDs are texts, float16 is float32.

    UUIDs inside lists and structs stay bytes.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind.extension_name == "arrow.uuid" else plain(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _inner(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_inner(kind.key_type), _inner(kind.item_type))
    if hasattr(kind, "value_type"):  # lists of every kind
        return pa.list_(_inner(kind.value_type))
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_decimal(kind):
        is_wide = kind.precision > _MOST_DIGITS
        return pa.string() if is_wide else pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_large_string(kind) or kind == pa.string_view() or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    return _NEAREST.get(kind, kind)


def _inner(kind: pa.DataType) -> pa.DataType:
    is_extended = isinstance(kind, pa.BaseExtensionType)
    return plain(kind.storage_type if is_extended else kind)


_MOST_DIGITS = 38  # of Spark's decimals
_NEAREST = {
    pa.float16(): pa.float32(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.binary_view(): pa.binary(),
    pa.date64(): pa.date32(),
    **{pa.duration(unit): pa.int64() for unit in ("s", "ms", "us", "ns")},
}


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ExtensionArray):
        if values.type.extension_name == "arrow.uuid":
            texts = [v and str(uuid.UUID(bytes=v)) for v in values.storage.to_pylist()]
            return pa.array(texts, pa.string())
        values = values.storage
    if isinstance(values, pa.RunEndEncodedArray):
        values = pa.compute.run_end_decode(values)
    if "list_view<" in str(values.type):  # pyarrow's cast of those makes one offset too few
        return pa.array(values.to_pylist(), kind)
    return values.cast(options=pa.compute.CastOptions(kind, allow_time_truncate=True))


def _is_parquet(source: Source) -> bool:
    with source.open() as file:
        return file.read(4) == b"PAR1"


def _reader(file: BinaryIO) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
    """Open an Arrow file, or the stream that Hugging Face's datasets write under the same name."""
    if file.read(len(_MAGIC)) == _MAGIC:
        return pa.ipc.open_file(file)
    file.seek(0)
    return pa.ipc.open_stream(file)


def _require_whole(source: Source) -> None:
    """Walk over the messages, without their contents, up to the mark of their end.

    Whatever follows a stream's mark, and a cut between two messages, would pass unnoticed.
    """
    if source.content is not None:
        file: Any = pa.BufferReader(source.content)
    else:
        file = pa.memory_map(source.local)
    with file:
        size, is_file = file.size(), file.read(len(_MAGIC)) == _MAGIC
        file.seek(8 if is_file else 0)
        messages = pa.ipc.MessageReader.open_stream(file)
        try:
            while True:
                messages.read_next_message()
        except StopIteration:
            end = file.tell()
        file.seek(max(0, end - len(_END)))
        has_end = file.read(len(_END)) == _END
        file.seek(max(0, size - len(_MAGIC)))
        if not has_end or (is_file and file.read() != _MAGIC):
            raise UnreadableError(
                f"{source.path} ends at byte {size:,} without the mark of its end; it is cut, or "
                "its writer was never closed: copy or write it again"
            )
        if is_file:  # next come the footer, its length and the magic again
            file.seek(max(0, size - 10))
            footer = int.from_bytes(file.read(4), "little") + 10
        else:
            footer = 0
        if end + footer != size:
            raise UnreadableError(
                f"{source.path} goes on behind its end at byte {end + footer:,} of {size:,}; want "
                "one a file: write what follows into a file of its own"
            )


_MAGIC = b"ARROW1"
_END = b"\xff\xff\xff\xff\0\0\0\0"
