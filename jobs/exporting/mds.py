"""MDS datasets: the encoding of each column, and the index that MosaicML Streaming reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import types as T

from jobs.config.errors import InputError
from jobs.exporting.sample_index import Shard
from udfs.shards.mds import ARRAY, JSON, TEXT

INDEX_FILE = "index.json"
_NUMBERS: dict[type[T.DataType], str] = {
    T.ByteType: "int8",
    T.ShortType: "int16",
    T.IntegerType: "int32",
    T.LongType: "int64",
    T.FloatType: "float32",
    T.DoubleType: "float64",
}
_OTHERS: dict[type[T.DataType], str] = {
    T.BinaryType: "bytes",
    T.StringType: TEXT,
    T.DateType: TEXT,
    T.TimestampType: TEXT,
    T.TimestampNTZType: TEXT,
    T.DecimalType: TEXT,
}


def encodings_of(schema: T.StructType) -> dict[str, str]:
    """Return the MDS encoding of every column."""
    return {field.name: _encoding(field.dataType) for field in schema}


def _encoding(kind: T.DataType) -> str:
    if isinstance(kind, T.ArrayType) and type(kind.elementType) in _NUMBERS:
        return ARRAY + _NUMBERS[type(kind.elementType)]
    return (_NUMBERS | _OTHERS).get(type(kind), JSON)


def require_values(told: Mapping[int, Mapping[str, Any]]) -> None:
    """Make sure that no worker met a row without a value.

    Raises
    ------
    InputError
    """
    for _, shard in sorted(told.items()):
        if "missing" in shard:
            column, id_ = shard["missing"]
            raise InputError(
                f"--format mds: the row {id_!r} has no {column}, and MDS has no nulls or empty "
                "arrays; want a value in every row: name the other columns in --columns, or give "
                "a view that fills this one as input.table"
            )


def indexes_of(
    files: Sequence[Shard], entries: Sequence[Mapping[str, Any]]
) -> dict[str | None, str]:
    """Return the index of every split, as text.

    Parameters
    ----------
    files, entries : the shards, at their places, and what their writers say of them
    """
    found: dict[str | None, list[dict[str, Any]]] = {}
    for file, entry in zip(files, entries, strict=True):
        name = file.path.rpartition("/")[2]
        raw = {**entry["raw_data"], "basename": name}
        found.setdefault(file.split, []).append({**entry, "raw_data": raw})
    indexes = {split: {"version": 2, "shards": shards} for split, shards in found.items()}
    return {split: json.dumps(index, sort_keys=True) for split, index in indexes.items()}
