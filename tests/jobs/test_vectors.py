"""Vectors as text, and matrices of one row: numbers, or rejects that say what was found."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs.config.model import EmbedConfig, InputConfig
from jobs.embedding.gating import gate_rows
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import open_pool
from udfs.embedders.precomputed import make_embedder

NAN = float("nan")
TEXTS = {
    "[1, 2,-3.5e-2]": [1, 2, -0.035],
    " [1,2,3]\n": [1, 2, 3],
    "[0.1 0.2\n  0.3]": [0.1, 0.2, 0.3],  # as numpy writes them
    "[ 1.  2. -3.]": [1, 2, -3],
    "[.5, +1, 01]": [0.5, 1, 1],
    "[]": [],
    "[1, NaN, null]": [1, NAN, None],
    "[1 nan inf]": [1, NAN, float("inf")],
    "[1, 2, 3] junk": None,
    "junk [1, 2, 3]": None,
    "[1, 2, 3": None,
    "[1, 2, x]": None,
    "[1,, 2]": None,
    "[1, 2, ]": None,
    "[0.1 0.2 ... 0.9]": None,
    '["1", "2", "3"]': None,
    "[[1, 2, 3]]": None,
    "[1] [2]": None,
    "[1, true, 2]": None,
    "{1, 2, 3}": None,
    "[": None,
    "": None,
}


def gated(spark: SparkSession, folder: Path, values: pa.Array) -> list[tuple[Any, Any, Any]]:
    """Return what becomes of each vector: its components, the reason, the detail."""
    pq.write_table(pa.table({"id": range(len(values)), "v": values}), folder / "pool.parquet")
    config = InputConfig(table=f"{folder}/pool.parquet", embedding="v")
    rows = pool_columns(open_pool(spark, config), config, "embedding")
    found = {row.id: row.value for row in rows.collect()}
    told = gate_rows(rows, lambda: make_embedder(3), EmbedConfig()).collect()
    return [(found[row.id], row.reason, row.detail) for row in sorted(told, key=lambda r: r.id)]


def test_a_vector_of_text_is_read_to_its_end_or_rejected(
    spark: SparkSession, tmp_path: Path
) -> None:
    got = gated(spark, tmp_path, pa.array([*TEXTS, None]))
    assert got.pop() == (None, "null_content", None)
    for (text, want), (vector, reason, detail) in zip(TEXTS.items(), got, strict=True):
        if want is None:
            assert vector is None
            assert (reason, detail) == (
                "malformed",
                f"no list of numbers such as [0.5, 1]: {text}",
            )
        else:
            assert str(vector) == str([x if x is None else float(x) for x in want])
    reasons = {text: reason for text, (_, reason, _) in zip(TEXTS, got, strict=True)}
    assert reasons["[]"] == "wrong_length"
    assert reasons["[1, NaN, null]"] == reasons["[1 nan inf]"] == "nan"
    assert reasons["[0.1 0.2\n  0.3]"] is None


def test_a_matrix_of_several_rows_is_rejected_as_such(spark: SparkSession, tmp_path: Path) -> None:
    matrices = [[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]] * 2, [], None, [None]]
    got = gated(spark, tmp_path, pa.array(matrices, pa.list_(pa.list_(pa.float32()))))
    assert got == [
        ([1, 2, 3], None, None),
        (None, "malformed", "a matrix of 2 rows; want one"),
        (None, "malformed", "a matrix of 0 rows; want one"),
        (None, "null_content", None),
        (None, "null_content", None),
    ]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.int8()),
        pa.large_list(pa.float16()),
        pa.list_(pa.decimal128(5, 2)),
        pa.list_(pa.float32(), 3),
    ],
)
def test_a_null_component_rejects_the_row(
    spark: SparkSession, tmp_path: Path, kind: pa.DataType
) -> None:
    values = pa.array([[1, 2, 3], [1, None, 3], None], pa.list_(pa.float32()))
    got = gated(spark, tmp_path, values.cast(kind))
    assert [reason for _, reason, _ in got] == [None, "nan", "null_content"]
    assert got[1][2] in ("nan at index 1", "null at index 1")
