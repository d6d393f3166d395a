"""MDS: encodings of columns, values as they are encoded, and the index of every split."""

import json
from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest
from pyspark.sql import types as T

from jobs.config.errors import InputError
from jobs.exporting.mds import encodings_of, indexes_of, require_values
from jobs.exporting.sample_index import Shard
from udfs.shards import mds


def test_encodings_of_columns() -> None:
    kinds = {
        "caption": (T.StringType(), "str"),
        "image": (T.BinaryType(), "bytes"),
        "n": (T.IntegerType(), "int32"),
        "vector": (T.ArrayType(T.FloatType()), "ndarray:float32"),
        "at": (T.TimestampType(), "str"),
        "price": (T.DecimalType(9, 2), "str"),
        "tags": (T.ArrayType(T.StringType()), "json"),
        "is_new": (T.BooleanType(), "json"),
        "box": (T.StructType([T.StructField("x", T.IntegerType())]), "json"),
    }
    schema = T.StructType([T.StructField(name, kind) for name, (kind, _) in kinds.items()])
    assert encodings_of(schema) == {name: encoding for name, (_, encoding) in kinds.items()}


@pytest.mark.parametrize(
    ("value", "encoding", "is_missing"),
    [(None, "str", True), ("", "str", False), (None, "json", False), (0, "int32", False)]
    + [(v, "ndarray:float32", v != [0.0]) for v in (None, [], [1.0, None], [0.0])],
)
def test_only_json_holds_nulls(value: object, encoding: str, is_missing: bool) -> None:
    assert mds._missing({"x": value}, {"x": encoding}) == ("x" if is_missing else None)


def test_values_become_what_their_encoding_takes() -> None:
    assert mds._plain(datetime(2026, 1, 2, 3), "str") == "2026-01-02T03:00:00"
    assert mds._plain(Decimal("1.50"), "str") == "1.50"
    assert mds._plain({"x": b"abc", "y": None}, "json") == {"x": "YWJj", "y": None}
    vector = mds._plain([1, 2], "ndarray:float32")
    assert vector.dtype == np.float32 and vector.tolist() == [1, 2]


def test_every_split_has_an_index_of_its_shards_at_their_places() -> None:
    files = [Shard(f"{split}/part-00000.mds", split, 2) for split in ("train", "val")]
    entries = [
        {"samples": 2, "raw_data": {"basename": "shard.00000.mds", "bytes": n}} for n in (7, 9)
    ]
    indexes = indexes_of(files, entries)
    assert json.loads(indexes["val"]) == {
        "version": 2,
        "shards": [{"samples": 2, "raw_data": {"basename": "part-00000.mds", "bytes": 9}}],
    }


def test_the_first_shard_that_lacks_a_value_is_named() -> None:
    require_values({0: {"name": "a"}})
    with pytest.raises(InputError, match="the row '7' has no caption"):
        require_values({0: {"name": "a"}, 1: {"missing": ["caption", "7"]}})
