"""Samples that are like rows of another table, or unlike: on planted concepts."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs import balance_sample
from jobs.config.errors import InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run

pytestmark = pytest.mark.whole

SIZES = [120, 80, 60, 50, 50, 40]  # points of each concept
WANTED, N_SEEDS, N_SAMPLED = 3, 20, 60
N_FEATURES = len(SIZES)


def rows_of(concepts: list[int], seed: int) -> list[list[float]]:
    """Return a vector of each concept: its axis, and noise."""
    noise = np.random.default_rng(seed).standard_normal((len(concepts), N_FEATURES))
    X: NDArray[np.float64] = np.eye(N_FEATURES)[concepts] + 0.15 * noise
    return X.tolist()


def write_pool(spark: SparkSession, path: Path, n_partitions: int) -> None:
    concepts = np.repeat(np.arange(len(SIZES)), SIZES).tolist()
    X = rows_of(concepts, 4)
    rows = [(f"{c}-{i}", X[i]) for i, c in enumerate(concepts)]
    pool = spark.createDataFrame(rows, "id string, vector array<double>")
    pool.repartition(n_partitions).write.parquet(str(path))


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("likeness")
    for n in (1, 7):
        write_pool(spark, folder / str(n) / "pool", n)
    seeds = [(i, x) for i, x in enumerate(rows_of([WANTED] * N_SEEDS, 9))]
    spark.createDataFrame(seeds, "key int, vector array<double>").write.parquet(f"{folder}/seeds")
    broken = [(1, [0.0] * N_FEATURES), (2, None)]
    odd = spark.createDataFrame(broken, "key int, vector array<double>")
    odd.write.parquet(f"{folder}/broken")
    return folder


def config_of(folder: Path, *samples: dict[str, Any], n_partitions: int = 1) -> RunConfig:
    even = {"share": {"leaves": 0.0}, "target_size": N_SAMPLED}
    named = [{"name": f"s{i}"} | even | sample for i, sample in enumerate(samples)]
    return parse_config(
        {
            "input": {"table": f"{folder}/{n_partitions}/pool", "embedding": "vector"},
            "output": {"root": f"{folder}/{n_partitions}/lake"},
            "cluster": {"levels": [24, 6], "resampling": {"rounds": 1}},
            "samples": named,
        }
    )


Draw = Callable[..., list[list[str]]]


@pytest.fixture(scope="module")
def draw(spark: SparkSession, folder: Path) -> Draw:
    """Draw samples; the ids of each in the order in which they were admitted."""

    def drawn(*samples: dict[str, Any], n_partitions: int = 1) -> list[list[str]]:
        config = config_of(folder, *samples, n_partitions=n_partitions)
        run = open_run(spark, config)
        for stage in RECIPE.on(config)[:4]:  # up to the draw
            run.do(stage)
        rows = run.read(balance_sample.STAGE, balance_sample.SAMPLES).collect()
        by_place = sorted(rows, key=lambda row: row.position)
        return [[r.id for r in by_place if r["sample"] == f"s{i}"] for i in range(len(samples))]

    return drawn


def concepts_in(ids: list[str]) -> Counter[int]:
    return Counter(int(id_[0]) for id_ in ids)


def seeds(folder: Path, name: str = "seeds", **more: Any) -> dict[str, Any]:
    return {"table": f"{folder}/{name}", "id": "key"} | more


NEAREST, N_STRICT = 4, 20


def wanted(folder: Path) -> dict[str, dict[str, Any]]:
    """Return samples by what they show."""
    like = seeds(folder, strength=0.5)
    every = {"target_size": sum(SIZES)}  # or as many as there are
    return {
        "plain": {},
        "like": {"like": like},
        "unlike": {"unlike": like},
        "strict": {"like": seeds(folder, strict=True), "target_size": N_STRICT},
        "nearest": every | {"like": seeds(folder, nearest=NEAREST)},
        "others": every | {"unlike": seeds(folder, nearest=NEAREST)},
    }


@pytest.fixture(scope="module")
def found(folder: Path, draw: Draw) -> dict[str, list[str]]:
    samples = wanted(folder)
    return dict(zip(samples, draw(*samples.values()), strict=True))


def test_a_sample_has_more_of_what_it_is_to_be_like_and_the_rest_stays_even(
    found: dict[str, list[str]],
) -> None:
    plain, like, unlike = (concepts_in(found[name]) for name in ("plain", "like", "unlike"))
    assert plain.total() == like.total() == unlike.total() == N_SAMPLED
    assert min(plain.values()) >= 7  # of 60 of 6 concepts
    assert like[WANTED] >= 3 * plain[WANTED]
    assert unlike[WANTED] <= plain[WANTED] / 3
    for counts in (like, unlike):
        others = [counts[c] for c in range(len(SIZES)) if c != WANTED]
        assert max(others) - min(others) <= max(plain.values()) - min(plain.values()) + 2


def test_a_column_that_seeds_lack_is_told_before_anything_runs(
    spark: SparkSession, folder: Path
) -> None:
    config = config_of(folder, {"like": seeds(folder) | {"id": "nope"}})
    with pytest.raises(InputError, match=r"^samples.s0.like.id='nope' .*\['key', 'vector'\]"):
        open_run(spark, config)


def test_strictly_only_leaves_with_seeds_give(found: dict[str, list[str]]) -> None:
    assert concepts_in(found["strict"]) == {WANTED: N_STRICT}


def test_only_the_points_nearest_to_seeds_are_candidates_or_all_others(
    spark: SparkSession, folder: Path, found: dict[str, list[str]]
) -> None:
    concepts = np.repeat(np.arange(len(SIZES)), SIZES).tolist()
    ids = np.array([f"{c}-{i}" for i, c in enumerate(concepts)])
    X, Y = (
        X / np.linalg.norm(X, axis=1, keepdims=True)
        for X in (np.array(rows_of(concepts, 4)), np.array(rows_of([WANTED] * N_SEEDS, 9)))
    )
    nearest = ids[np.argsort(-(Y @ X.T), axis=1)[:, :NEAREST]].ravel()
    assert sorted(found["nearest"]) == sorted({*nearest})
    assert sorted(found["others"]) == sorted({*ids} - {*nearest})


def test_likeness_does_not_depend_on_partitions(
    folder: Path, draw: Draw, found: dict[str, list[str]]
) -> None:
    assert draw(*wanted(folder).values(), n_partitions=7) == [*found.values()]


def test_other_seeds_are_another_sample(spark: SparkSession, folder: Path) -> None:
    def key(**more: Any) -> str:
        config = config_of(folder, {"like": seeds(folder, **more)})
        return open_run(spark, config).key(balance_sample.STAGE)

    before = key()
    assert key() == before
    assert key(where="key < 5") != before
    assert key(strength=2.0) != before
    X = spark.createDataFrame([(99, [1.0] * N_FEATURES)], "key int, vector array<double>")
    X.write.mode("append").parquet(f"{folder}/seeds_later")
    assert key(table=f"{folder}/seeds_later") != before
    later = key(table=f"{folder}/seeds_later")
    X.write.mode("append").parquet(f"{folder}/seeds_later")
    assert key(table=f"{folder}/seeds_later") != later


def test_seeds_that_cannot_be_embedded_are_counted(
    spark: SparkSession, folder: Path, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    some = spark.read.parquet(f"{folder}/seeds", f"{folder}/broken")
    some.write.parquet(f"{folder}/some")
    ids, whole = draw({"like": seeds(folder, "some")}, {"like": seeds(folder)})
    assert ": 2 of 22 rows cannot be embedded" in caplog.text
    assert ids == whole
    for name, said in {
        "broken": r"embedded \(null_content 1, zero_norm 1\)",
        "seeds": "no row",
    }.items():
        given = seeds(folder, name, where="true" if name == "broken" else "key < 0")
        with pytest.raises(InputError, match=rf"samples.s0.like=.*{said}.*want at least one"):
            draw({"like": given})


def test_vectors_of_another_length_are_refused(
    spark: SparkSession, folder: Path, draw: Draw
) -> None:
    short = spark.createDataFrame([(1, [1.0])], "key int, vector array<double>")
    short.write.parquet(f"{folder}/short")
    with pytest.raises(InputError, match=r"samples.s0.like=.*length 1, the pool's have 6"):
        draw({"like": seeds(folder, "short")})


def test_texts_are_embedded_by_what_the_pools_embedder_learned(
    spark: SparkSession, tmp_path: Path
) -> None:
    topics = [
        "bread flour oven yeast dough",
        "goal match striker league pitch",
        "tax court law act",
    ]
    rng = np.random.default_rng(2)

    def text(topic: int) -> str:
        return " ".join(rng.choice(topics[topic].split(), 12))

    pool = [(f"{t}-{i}", text(t)) for t in range(3) for i in range(30)]
    spark.createDataFrame(pool, "id string, text string").write.parquet(f"{tmp_path}/pool")
    few = spark.createDataFrame([(text(1),) for _ in range(5)], "said string")
    few.write.parquet(f"{tmp_path}/seeds")
    like = {"table": f"{tmp_path}/seeds", "id": "said", "content": "said"}
    config = parse_config(
        {
            "input": {"table": f"{tmp_path}/pool", "content": "text"},
            "output": {"root": f"{tmp_path}/lake"},
            "embed": {"model": "lsa"},
            "cluster": {"levels": [9, 3], "resampling": {"rounds": 0}},
            "samples": [
                {"name": "s", "target_size": 20, "share": {"leaves": 0.0}, "like": like},
            ],
        }
    )
    run = open_run(spark, config)
    for stage in RECIPE.on(config)[:4]:
        run.do(stage)
    rows = run.read(balance_sample.STAGE, balance_sample.SAMPLES).collect()
    assert concepts_in([row.id for row in rows])[1] >= 15
