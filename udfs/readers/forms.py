"""Read the files of a task, each by the reader of its form."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

import pandas as pd
import pyarrow as pa
import pyarrow.compute

from udfs.readers import arrow_files, numpy_files, tar_files
from udfs.readers.sources import Source, UnreadableError

DESCRIBED = "path string, schema binary, n_rows bigint"
# names that Spark gives to a row's place in tables
_PLACE = pa.struct([("file_name", pa.string()), ("row_index", pa.int64())])
_MADE = b"made"  # marks fields that the files do not hold
_UNQUOTED = "!'()*,;:$&+=@"
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Form:
    """How the files of a pool are read.

    Attributes
    ----------
    kind : ``numpy``, ``webdataset``, ``arrow`` or ``parquet``
    root : what relative paths leave out
    is_one : whether the pool is one file: ids then leave its name out
    arrays : the arrays of .npz files to read; empty: those that fit together
    named : columns that the config names, which say which arrays are meant
    """

    kind: str
    root: str
    is_one: bool
    arrays: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def describe(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Yield DESCRIBED for each source: path, its Arrow schema, its number of rows."""
        for source in _sources(batches):
            schema, n_rows = self._schema_of(source)
            row = (source.path, schema.serialize().to_pybytes(), n_rows)
            yield pd.DataFrame([row], columns=["path", "schema", "n_rows"])

    def read(
        self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of each source, with the columns of a schema that `columns_of` gave."""
        for source in _sources(batch.to_pandas() for batch in batches):
            start = source.start
            for rows in self._batches_of(source):
                yield self._complete(source, start, rows, schema)
                start += len(rows)

    def _schema_of(self, source: Source) -> tuple[pa.Schema, int]:
        if self.kind == "numpy":
            return numpy_files.schema_of(source, self.arrays, self.named)
        if self.kind == "webdataset":
            return tar_files.schema_of(source)
        return arrow_files.schema_of(source)

    def _batches_of(self, source: Source) -> Iterator[pa.RecordBatch]:
        if self.kind == "numpy":
            return numpy_files.batches_of(source, self.arrays, self.named)
        if self.kind == "webdataset":
            return tar_files.batches_of(source)
        return arrow_files.batches_of(source)

    def _complete(
        self, source: Source, start: int, rows: pa.RecordBatch, schema: pa.Schema
    ) -> pa.RecordBatch:
        """Add what is made for the file: its place and ids; nulls for other files' columns."""
        relative = source.path.removeprefix(self.root)
        columns = dict(zip(rows.schema.names, rows.columns, strict=True))
        made = {
            "relative_path": lambda: pa.repeat(relative, len(rows)),
            "id": lambda: self._ids(relative, start, rows),
            "_metadata": lambda: _places(relative, start, len(rows)),
        }
        folders = _partitions(relative)
        filled = []
        for field in schema:
            is_made = _MADE in (field.metadata or {})
            if is_made and field.name in made:
                column = made[field.name]()
            elif is_made and folders.get(field.name) is not None:
                column = pa.repeat(folders[field.name], len(rows))
            elif field.name in columns:
                options = pa.compute.CastOptions(field.type, allow_time_truncate=True)
                column = columns[field.name].cast(options=options)
            else:
                column = pa.nulls(len(rows), field.type)
            filled.append(column)
        return pa.record_batch(filled, schema=schema)

    def _ids(self, relative: str, start: int, rows: pa.RecordBatch) -> pa.Array:
        """Return the row's number or key, after its file's name if there are several files."""
        if self.kind == "webdataset":
            names = rows.column("key")
        else:
            names = pa.array(range(start, start + len(rows)), pa.int64())
        if self.is_one:
            return names
        if self.kind == "webdataset":  # a name need not be UTF-8: such an id is turned away later
            keys = names.cast(pa.binary()).to_pylist()
            whole = pa.array([f"{relative}/".encode() + key for key in keys], pa.binary())
            return whole.view(pa.string())
        return pa.array([f"{relative}/{name}" for name in names.to_pylist()])


def columns_of(form: Form, schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """Return the columns of a pool, from those of its files by path.

    Raises
    ------
    UnreadableError
        If a column is of two types, or arrays of several files do not fit together.
    """
    if form.kind == "numpy":
        _require_same_vectors(schemas)
    columns: dict[str, tuple[pa.DataType, str]] = {}
    for path, schema in schemas.items():
        for field in schema:
            kind = arrow_files.plain(field.type)
            known, where = columns.setdefault(field.name, (kind, path))
            if known != kind:
                raise UnreadableError(two_types(field.name, where, known, path, kind))
    fields = [pa.field(name, kind) for name, (kind, _) in columns.items()]
    if form.kind in ("numpy", "webdataset"):
        id_type = pa.int64() if form.is_one and form.kind == "numpy" else pa.string()
        places: dict[str, pa.DataType] = {"relative_path": pa.string(), "id": id_type}
    else:
        places = {"_metadata": _PLACE}
    for path in schemas:
        places |= dict.fromkeys(_partitions(path.removeprefix(form.root)), pa.string())
    made = {name: kind for name, kind in places.items() if name not in columns}
    fields += [pa.field(name, kind, metadata={_MADE: b""}) for name, kind in made.items()]
    return pa.schema(fields)


def _places(relative: str, start: int, n_rows: int) -> pa.Array:
    # as Spark writes it: quoted like a URI, but for letters beyond ASCII
    name = "".join(
        c if ord(c) > 127 else quote(c, safe=_UNQUOTED) for c in relative.rpartition("/")[2]
    )
    names = pa.repeat(name, n_rows)
    indices = pa.array(range(start, start + n_rows), pa.int64())
    return pa.StructArray.from_arrays([names, indices], fields=[*_PLACE])


def _partitions(relative: str) -> dict[str, str | None]:
    """Return the columns that folders such as ``label=7`` are: their values, as they are written.

    A name and a value are quoted as in a URI, as Hive writes them.
    """
    parts = [folder.partition("=") for folder in relative.split("/")[:-1]]
    values = {unquote(name): unquote(value) for name, is_one, value in parts if name and is_one}
    return {name: None if value == _NO_VALUE else value for name, value in values.items()}


def _require_same_vectors(schemas: Mapping[str, pa.Schema]) -> None:
    """Refuse files of arrays whose vectors have other names or lengths."""
    told = {path: ", ".join(map(_array, schema)) for path, schema in schemas.items()}
    vectors = {
        path: {f.name: f.type.list_size for f in schema if pa.types.is_fixed_size_list(f.type)}
        for path, schema in schemas.items()
    }
    first = next(iter(vectors), "")
    for path, found in vectors.items():
        if found != vectors[first]:
            raise UnreadableError(
                f"{first} holds {told[first]}, {path} holds {told[path]}; want the same vectors in "
                "every file: name one of them, or write what belongs together into one .npz"
            )


def _array(field: pa.Field) -> str:
    if pa.types.is_fixed_size_list(field.type):
        return f"{field.name} of {field.type.list_size} components"
    return f"{field.name} without components"


def two_types(column: str, first: str, known: object, other: str, kind: object) -> str:
    """Return the message that a column is of two types in two files."""
    return (
        f"column {column!r} is {known} in {first} and {kind} in {other}; want one type in all "
        "files: cast one of the two and write it again"
    )


def _sources(batches: Iterable[pd.DataFrame]) -> Iterator[Source]:
    for batch in batches:
        contents = batch["content"] if "content" in batch else [None] * len(batch)
        for row in zip(batch["path"], contents, batch["start"], batch["stop"], strict=True):
            yield Source(*row)
