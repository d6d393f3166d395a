import os
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from udfs.embed import (
    GATED_SCHEMA,
    MAX_LOADED,
    each_once,
    gate,
    load_once,
    make_embed,
    make_gated_embed,
)
from udfs.embedders.contract import Embedded
from udfs.embedders.precomputed import make_embedder

POOL = "id int, vector array<float>"
ROWS = [
    (0, [3.0, 4.0]),
    (1, None),
    (2, [0.0, 0.0]),
    (3, [2.0, 2.0]),
    (4, [1.0, float("nan")]),
    (5, [1.0, None]),
    (6, [float("inf"), 0.0]),
    (7, [1.0, 2.0, 3.0]),
    (8, [0.0, -2.0]),
]
GATED = [
    (0, [0.6, 0.8], 5.0, None, None),
    (1, None, None, "null_content", None),
    (2, None, None, "zero_norm", None),
    (3, None, None, "constant", "all 2 components are 2"),
    (4, None, None, "nan", "nan at index 1"),
    (5, None, None, "nan", "nan at index 1"),
    (6, None, None, "inf", "inf at index 0"),
    (7, None, None, "wrong_length", "length 3, the pool has 2"),
    (8, [0.0, -1.0], 2.0, None, None),
]
vectors = st.one_of(st.none(), st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=3))


def as_float32(embedding):
    return None if embedding is None else np.array(embedding, np.float32).tolist()


def embed(values, *, normalize=False, batch_size=256, batches=1):
    """Return the rows that `make_gated_embed` makes of values that arrive in several batches."""
    column = pa.array(values, pa.list_(pa.float32()))
    untold = pa.nulls(len(column), pa.string())
    ids = pa.array(range(len(column)), pa.int32())
    table = pa.table({"id": ids, "value": column, "reason": untold, "detail": untold})
    size = max(1, -(-len(column) // batches))
    make_rows = make_gated_embed(
        lambda: make_embedder(2), normalize=normalize, batch_size=batch_size
    )
    made = make_rows(iter(table.to_batches(max_chunksize=size)))
    return [row for batch in made for row in batch.to_pylist()]


def test_a_row_has_either_an_embedding_and_a_norm_or_a_reason():
    assert embed([[3.0, 4.0], [1.0]]) == [
        {"id": 0, "embedding": [3, 4], "norm": 5, "reason": None, "detail": None},
        {
            "id": 1, "embedding": None, "norm": None,
            "reason": "wrong_length", "detail": "length 1, the pool has 2",
        },
    ]  # fmt: skip


def test_the_norm_is_that_before_normalisation():
    (row,) = embed([[0.0, 4.0]], normalize=True)
    assert (row["embedding"], row["norm"]) == ([0, 1], 4)


def test_a_reason_that_is_there_stays():
    table = pa.table(
        {
            "value": pa.array([[3.0, 4.0], [1.0], None, [3.0, 4.0]], pa.list_(pa.float32())),
            "reason": ["malformed", "null_id", None, None],
            "detail": ["a;b", None, None, None],
        }
    )
    (batch,) = make_gated_embed(lambda: make_embedder(2))(iter(table.to_batches()))
    found = batch.to_pylist()
    assert [(row["reason"], row["detail"]) for row in found] == [
        ("malformed", "a;b"), ("null_id", None), ("null_content", None), (None, None),
    ]  # fmt: skip
    assert [row["embedding"] is None for row in found] == [True, True, True, False]


@given(st.lists(vectors, max_size=9), st.integers(1, 4), st.integers(1, 4))
def test_batches_do_not_matter(values, batch_size, batches):
    together = embed(values)
    apart = embed(values, batch_size=batch_size, batches=batches)
    assert apart == together


def test_the_embedders_own_reason_wins_over_its_vector():
    embedded = Embedded(
        np.zeros((2, 2), np.float32),
        np.array(["empty_content", None], dtype=object),
        np.array(["0 characters", None], dtype=object),
    )
    gated = gate(embedded, n_values=2, normalize=True)
    assert gated.reasons.tolist() == ["empty_content", "zero_norm"]
    assert gated.details.tolist() == ["0 characters", None]


def test_an_embedder_that_loses_a_row_is_refused():
    embedded = make_embedder(2)(pd.Series([[1.0, 2.0]]))
    with pytest.raises(ValueError, match=r"vectors \(1, 2\), 1 reasons .* for 3 values"):
        gate(embedded, n_values=3, normalize=True)


@given(st.lists(vectors, min_size=1, max_size=9), st.integers(1, 4))
def test_a_content_is_embedded_once_and_its_copies_get_the_same(values, n_batches):
    given_ = []

    def embedder(column):
        given_.extend(map(repr, column))
        return make_embedder(2)(column)

    once, column = each_once(embedder), pd.Series(values, dtype=object)
    parts = [part for part in np.array_split(np.arange(len(column)), n_batches) if len(part)]
    found = [once(column.iloc[part]) for part in parts]
    whole = make_embedder(2)(column)
    for name in ("vectors", "reasons", "details"):
        joined = np.concatenate([getattr(part, name) for part in found])
        assert joined.tolist() == getattr(whole, name).tolist()
    assert len(given_) == len(set(given_)) == len(set(map(repr, values)))


def test_texts_and_bytes_are_told_apart():
    once = each_once(lambda column: Embedded(
        np.array([[len(column)]] * len(column), np.float32),
        *(np.full(len(column), None, dtype=object) for _ in range(2)),
    ))  # fmt: skip
    assert once(pd.Series(["a", b"a", "", b"", None, "a"])).vectors.ravel().tolist() == [5.0] * 6


def test_an_embedder_is_loaded_once_and_the_least_recent_is_dropped():
    loads = []

    def load():
        loads.append(1)
        return make_embedder(2)

    assert load_once("a", load) is load_once("a", load)
    assert len(loads) == 1
    for key in range(MAX_LOADED):
        load_once(f"other {key}", load)
    load_once("a", load)
    assert len(loads) == 1 + MAX_LOADED + 1


def gated_rows(pool, **options):
    untold = F.lit(None).cast("string")
    rows = pool.select("id", F.col("vector").alias("value"), untold.alias("reason"))
    embed_rows = make_gated_embed(lambda: make_embedder(2), **options)
    return rows.withColumn("detail", untold).mapInArrow(embed_rows, f"id int, {GATED_SCHEMA}")


def test_gated_rows_by_hand(spark):
    pool = spark.createDataFrame(ROWS, POOL).repartition(3, "id")
    rows = sorted(map(tuple, gated_rows(pool, batch_size=2).collect()))
    expected = [(i, as_float32(embedding), *rest) for i, embedding, *rest in GATED]
    assert rows == expected


def test_an_embedding_is_null_where_a_row_cannot_be_embedded(spark):
    pool = spark.createDataFrame(ROWS, POOL)
    embed_vector = make_embed(lambda: make_embedder(2), normalize=False)
    embedded = pool.withColumn("embedding", embed_vector("vector"))
    assert embedded.schema["embedding"].dataType.simpleString() == "array<float>"
    assert dict(embedded.select("id", "embedding").dropna().collect()) == {
        0: [3.0, 4.0],
        8: [0.0, -2.0],
    }


def test_a_worker_loads_its_embedder_once_for_all_tasks(spark):
    counter = f"LOADS_{uuid4().hex}"  # kept by the worker process; used by no other test

    def load():
        n_loads = int(os.environ.get(counter, "0")) + 1
        os.environ[counter] = str(n_loads)

        def embed(values):
            n = len(values)
            vectors = np.tile(np.array([-1, n_loads], np.float32), (n, 1))
            return Embedded(vectors, np.full(n, None, object), np.full(n, None, object))

        return embed

    numbers = spark.range(0, 40, 1, 7)
    embed_number = make_embed(load, normalize=False)
    embeddings = numbers.select(embed_number("id").alias("embedding")).distinct().collect()
    assert [row.embedding for row in embeddings] == [[-1.0, 1.0]]


def test_a_filter_on_the_reason_does_not_embed_twice(spark, capsys):
    gated = gated_rows(spark.createDataFrame(ROWS, POOL))
    gated.where(F.col("reason").isNull()).select("id").explain()
    assert capsys.readouterr().out.count("MapInArrow") == 1
