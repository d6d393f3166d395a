"""The forms that losses have, each beside numpy on a handful of rows, whatever the partitioning."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError, CurationError, InputError
from jobs.learnability.losses import Source, read_losses
from jobs.pool.inputs import Pool
from jobs.sections.learnability import LossesConfig
from udfs.kernels.learning.losses import LOSS_GRID, instance_losses

N = 40
SCORER = """
import numpy as np

def make(factor=1.0):
    return lambda frame: factor * frame["own"].to_numpy() + frame["b"].map(len).to_numpy()

def broken():
    def call(frame):
        raise RuntimeError("out of luck")
    return call

def short():
    return lambda frame: np.zeros(1)
"""


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    A, B = rng.standard_normal((2, N, 4)).round(3)
    return {"A": A, "B": B, "own": rng.random(N), "leaf": np.arange(N) % 3}


@pytest.fixture
def source(spark: SparkSession, rows: dict[str, Any]) -> Source:
    plain = [
        (i, rows["A"][i].tolist(), rows["B"][i].tolist(), float(rows["own"][i])) for i in range(N)
    ]
    plain[7] = (7, [1.0, 2.0], rows["B"][7].tolist(), float(rows["own"][7]))  # another length
    plain[9] = (9, [0.0] * 4, rows["B"][9].tolist(), float(rows["own"][9]))
    plain[8] = (8, [float("nan"), 0.0, 0.0, 0.0], rows["B"][8].tolist(), float(rows["own"][8]))
    frame = spark.createDataFrame(plain, "id int, a array<double>, b array<double>, own double")
    leaves = spark.createDataFrame(
        [(i, int(rows["leaf"][i])) for i in range(N)], "id int, leaf_id int"
    )
    return Source(Pool(frame.repartition(5), "pool", "v"), "id", frame.select("id"), leaves, 0)


def read(spark: SparkSession, source: Source, **form: Any) -> dict[int, float | None]:
    found = read_losses(spark, "online", LossesConfig(**form), source).collect()
    assert len(found) == N
    assert {row.n_losses for row in found} == {1}
    return {row.id: row.loss for row in found}


def test_a_loss_can_be_a_column_of_the_pool_or_an_expression(
    spark: SparkSession, source: Source, rows: dict[str, Any]
) -> None:
    assert read(spark, source, loss="own") == dict(enumerate(rows["own"].tolist()))
    assert read(spark, source, loss="2 * own")[0] == 2 * rows["own"][0]
    assert read(spark, source, loss="concat('x', own)")[0] is None  # not a number: a reject


def test_a_pair_is_as_bad_as_its_cosine_is_low(
    spark: SparkSession, source: Source, rows: dict[str, Any]
) -> None:
    found = read(spark, source, pair=["a", "b"], scale=3.0)
    A, B = rows["A"], rows["B"]
    norms = np.linalg.norm(A, axis=1) * np.linalg.norm(B, axis=1)
    want = 3 * (1 - (A * B).sum(axis=1) / norms)
    assert found.pop(7) is None  # of two lengths
    assert np.isnan(found.pop(8) or 0)
    assert found.pop(9) is None  # of length 0
    assert found == pytest.approx({i: want[i] for i in found})


def test_an_embedding_is_as_bad_as_it_is_far_from_its_leafs_mean(
    spark: SparkSession, source: Source, rows: dict[str, Any]
) -> None:
    found = read(spark, source, embedding="a", scale=2.0)
    assert found.pop(7) is found.pop(8) is None
    rows["A"][9] = 0
    for leaf in range(3):
        members = [i for i in found if rows["leaf"][i] == leaf]
        X = rows["A"][members]
        want = 2 * ((X - X.mean(axis=0)) ** 2).sum(axis=1)
        assert [found[i] for i in members] == pytest.approx(want.tolist(), abs=LOSS_GRID)


def test_views_are_told_apart_within_a_group(
    spark: SparkSession, source: Source, rows: dict[str, Any]
) -> None:
    found = read(spark, source, views=["a", "b"], scale=5.0)
    assert found.pop(7) is found.pop(8) is found.pop(9) is None
    kept = [*found]
    want = instance_losses(rows["A"][kept], rows["B"][kept], 5.0)
    assert [*found.values()] == pytest.approx(want.tolist(), abs=LOSS_GRID)


@pytest.fixture
def scorers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"scorers_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SCORER)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"python:{name}"


def test_a_users_code_scores_the_columns_that_it_names(
    spark: SparkSession, source: Source, rows: dict[str, Any], scorers: str
) -> None:
    form = {"model": f"{scorers}:make", "model_options": {"factor": 10.0}, "reads": ["own", "b"]}
    assert read(spark, source, **form) == {i: 10 * rows["own"][i] + 4 for i in range(N)}


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("broken", "broken failed on .* rows with RuntimeError: out of luck; fix it"),
        ("short", r"short gave losses of shape \(1,\) for .* rows; want \(.*,\)"),
    ],
)
def test_broken_code_says_what_it_should_do(
    spark: SparkSession, source: Source, scorers: str, factory: str, said: str
) -> None:
    with pytest.raises(Exception, match=said):
        read(spark, source, model=f"{scorers}:{factory}", reads=["own", "b"])


@pytest.mark.parametrize(
    ("form", "error", "said"),
    [
        ({"model": "python:nowhere_at_all:f", "reads": ["a"]}, ConfigError, "no module nowhere_at"),
        ({"pair": ["a", "c"]}, InputError, "pair='a, c' are no columns or expressions over pool"),
        ({"table": "/nowhere", "loss": "x"}, InputError, "learnability.online.table='/nowhere'"),
    ],
)
def test_what_is_not_there_is_refused(
    spark: SparkSession, source: Source, form: dict[str, Any], error: type[CurationError], said: str
) -> None:
    with pytest.raises(error) as refused:
        read(spark, source, **form)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "table and loss are both missing"),
        ({"loss": "x", "pair": ["a", "b"]}, "pair beside loss; want one of"),
        ({"model": "python:m:f"}, "want both: the code, and the columns"),
        ({"pair": ["a"]}, "pair"),
    ],
)
def test_a_side_has_one_form(form: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LossesConfig(**form)


def test_vectors_may_be_bytes_or_text_and_other_types_are_refused(
    spark: SparkSession, source: Source
) -> None:
    plain = source.pool.rows
    packed = F.udf(lambda v: np.array(v, "<f4").tobytes(), "binary")
    written = F.concat(F.lit("["), F.array_join(F.col("a").cast("array<string>"), ","), F.lit("]"))
    others = plain.withColumns({"packed": packed("a"), "written": written, "map": F.create_map()})
    other = replace(source, pool=replace(source.pool, rows=others))
    singles = plain.withColumns({c: F.col(c).cast("array<float>") for c in "ab"})
    single = replace(source, pool=replace(source.pool, rows=singles))
    for form in ("embedding", "views", "pair"):

        def columns(name: str, form: str = form) -> str | list[str]:
            return name if form == "embedding" else [name, "b"]

        want = read(spark, single, **{form: columns("a")})
        assert read(spark, other, **{form: columns("packed")}) == pytest.approx(want, nan_ok=True)
        assert len(read(spark, other, **{form: columns("written")})) == N
    with pytest.raises(InputError, match="learnability.online: loss='a' is array<double>; want a"):
        read(spark, source, loss="a")
    with pytest.raises(InputError, match="pair='own' is double; want an array of numbers, or bin"):
        read(spark, source, pair=["own", "a"])


def test_a_column_may_have_any_name_and_a_broken_record_has_no_loss(
    spark: SparkSession, source: Source, tmp_path: Path
) -> None:
    (tmp_path / "losses.csv").write_text("doc-id,the loss\n0,0.5\n1,1,5\n")
    losses = LossesConfig(table=f"{tmp_path}/losses.csv", id="doc-id", loss="the loss")
    ids = spark.range(2).select(F.col("id").cast("string"))
    found = read_losses(spark, "online", losses, replace(source, rows=ids)).collect()
    assert {row.id: row.loss for row in found} == {"0": 0.5, "1": None}
