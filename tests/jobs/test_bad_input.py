"""Contract 4: what is wrong with a pool or a config is named exactly, and nothing is lost."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import ANY

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from jobs import curate
from jobs.lake.config import RunConfig
from jobs.lake.errors import CurationError, GuardError
from jobs.lake.loading import parse_config
from jobs.lake.runs import open_run
from jobs.lake.tables import Lake

N_GOOD = 40
TARGET_SIZE = 10


class Bad(NamedTuple):
    """A row that cannot be embedded, and its row of ``rejects``; a null id stands for several."""

    value: Any
    id: Any
    reason: str
    detail: Any = None


# --- rows -----------------------------------------------------------------------------------------

LINES = [  # of JSON; the good ones have four numbers
    Bad('{"id": "null", "vector": null}', "null", "null_content"),
    Bad('{"id": "no key"}', "no key", "null_content"),
    Bad('{"id": "nan", "vector": [1, NaN, 3, 4]}', "nan", "nan", "nan at index 1"),
    Bad('{"id": "inf", "vector": [Infinity, 2, 3, 4]}', "inf", "inf", "inf at index 0"),
    Bad('{"id": "-inf", "vector": [1, 2, 3, -Infinity]}', "-inf", "inf", "inf at index 3"),
    Bad('{"id": "hole", "vector": [1, 2, null, 4]}', "hole", "nan", "nan at index 2"),
    Bad('{"id": "float64", "vector": [1, 2e38, 3e39, 4]}', "float64", "inf", "inf at index 2"),
    Bad('{"id": "zero", "vector": [0, 0, -0.0, 0]}', "zero", "zero_norm"),
    Bad('{"id": "same", "vector": [2, 2, 2, 2]}', "same", "constant", "all 4 components are 2"),
    Bad('{"id": "3", "vector": [1, 2, 3]}', "3", "wrong_length", "length 3, the pool has 4"),
    Bad('{"id": "5", "vector": [1, 2, 3, 4, 5]}', "5", "wrong_length", "length 5, the pool has 4"),
    Bad('{"id": "none", "vector": []}', "none", "wrong_length", "length 0, the pool has 4"),
    Bad('{"vector": [1, 2, 3, 4]}', None, "null_id"),
    Bad('{"id": "cut", "vector": [1, 2', None, "null_id"),
    Bad(
        '{"id": "twice", "vector": [1, 2, 3, 4]}',
        "twice",
        "duplicate_id",
        "the id stands on 2 rows",
    ),
    Bad('{"id": "twice", "vector": null}', "twice", "duplicate_id", "the id stands on 2 rows"),
]
HUGE = np.array([1e6] * 7 + [-1e6], "<f4").tobytes()  # good vectors are all of length 8 ** .5
VECTORS = [  # binary, float32; ids are integers
    Bad(None, 900, "null_content"),
    Bad(b"", 901, "wrong_length", "0 bytes, the pool has 32 (float32)"),
    Bad(b"seven..", 902, "wrong_length", "7 bytes, the pool has 32 (float32)"),
    Bad(np.ones(4, "<f4").tobytes(), 903, "wrong_length", "16 bytes, the pool has 32 (float32)"),
    Bad(np.full(8, np.nan, "<f4").tobytes(), 904, "nan", "nan at index 0"),
    Bad(HUGE, 905, "norm_too_large", "norm 2.83e+06, the median is 2.83"),
    Bad(np.arange(8, dtype="<f4").tobytes(), None, "null_id"),
]


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


NOISE = [png(np.random.default_rng(i).integers(0, 256, (8, 8))) for i in range(N_GOOD)]
IMAGES = [
    Bad(None, "null", "null_content"),
    Bad(b"", "empty", "empty_content"),
    Bad(b"GIF89a, or so", "text", "undecodable", ANY),
    Bad(NOISE[0][:60], "truncated", "undecodable", ANY),
    Bad(png(np.full((8, 8), 7)), "flat", "constant", "every pixel is 7"),
    Bad(NOISE[1], "twice", "duplicate_id", "the id stands on 2 rows"),
    Bad(NOISE[2], "twice", "duplicate_id", "the id stands on 2 rows"),
]
TEXTS = [  # binary, in UTF-8
    Bad(None, "null", "null_content"),
    Bad(b"", "empty", "empty_content"),
    Bad(b" \t\n ", "white", "empty_content", "4 white space characters"),
    Bad(b"caf\xe9", "latin-1", "undecodable", "not UTF-8 at byte 3: unexpected end of data"),
    # its hash comes after all others', so that it is not among the texts fitted on
    Bad(
        "日本語".encode(), "foreign-2761", "zero_norm", "shares no n-gram with the texts fitted on"
    ),
]
CASES = {"lines": LINES, "vectors": VECTORS, "images": IMAGES, "texts": TEXTS}


# --- pools ----------------------------------------------------------------------------------------


def lines_pool(spark: SparkSession, folder: Path) -> dict[str, Any]:
    vectors = np.random.default_rng(0).standard_normal((N_GOOD, 4))
    good = [json.dumps({"id": f"good-{i}", "vector": v.tolist()}) for i, v in enumerate(vectors)]
    (folder / "pool.jsonl").write_text("\n".join([*good, *(bad.value for bad in LINES)]))
    return {"input": {"table": str(folder / "pool.jsonl"), "embedding": "vector"}}


def vectors_pool(spark: SparkSession, folder: Path) -> dict[str, Any]:
    bits = (np.arange(1, N_GOOD + 1)[:, None] >> np.arange(8)) & 1
    good = [(i, v.tobytes()) for i, v in enumerate((2 * bits - 1).astype("<f4"))]
    path = write_rows(spark, folder, good, VECTORS, "int")
    return {"input": {"table": path, "embedding": "value"}, "embed": {"normalize": False}}


def images_pool(spark: SparkSession, folder: Path) -> dict[str, Any]:
    good = [(f"good-{i}", image) for i, image in enumerate(NOISE)]
    return {
        "input": {"table": write_rows(spark, folder, good, IMAGES, "string"), "content": "value"},
        "embed": {"model": "pixels", "image_mode": "L", "image_size": 8, "n_components": 8},
    }


def texts_pool(spark: SparkSession, folder: Path) -> dict[str, Any]:
    good = [(f"good-{i}", f"text {i % 7} of concept {i % 5}".encode()) for i in range(N_GOOD)]
    return {
        "input": {"table": write_rows(spark, folder, good, TEXTS, "string"), "content": "value"},
        "embed": {"model": "lsa", "n_components": 4, "fit_rows": N_GOOD},
    }


def write_rows(
    spark: SparkSession, folder: Path, good: list[tuple[Any, bytes]], bad: list[Bad], id_type: str
) -> str:
    rows = good + [(b.id, b.value) for b in bad]
    frame = spark.createDataFrame(rows, f"id {id_type}, value binary")
    frame.coalesce(1).write.parquet(str(folder / "pool"))
    return str(folder / "pool")


POOLS: dict[str, Callable[[SparkSession, Path], dict[str, Any]]] = {
    "lines": lines_pool,
    "vectors": vectors_pool,
    "images": images_pool,
    "texts": texts_pool,
}


@dataclass(frozen=True)
class Curated:
    """A pool with bad rows in it, curated."""

    lake: Lake
    summary: curate.RunSummary

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.lake.read(table).select(*columns).collect()]


@pytest.fixture(scope="module")
def curated(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Curated]:
    """Curate a pool once, when the first test asks for it."""

    @cache
    def of(pool: str) -> Curated:
        folder = tmp_path_factory.mktemp(pool)
        config = config_of(folder, POOLS[pool](spark, folder), max_reject_fraction=0.5)
        summary = curate.run(spark, config)
        return Curated(Lake(spark, config.output), summary)

    return of


def config_of(folder: Path, pool: dict[str, Any], *overrides: str, **hygiene: float) -> RunConfig:
    return parse_config(
        {
            "output": {"root": str(folder / "lake")},
            "hygiene": hygiene,
            "cluster": {"levels": [6], "resampling": {"rounds": 0}},
            "samples": [{"name": "s", "target_size": TARGET_SIZE}],
            **pool,
        },
        overrides,
    )


@pytest.mark.parametrize(
    ("pool", "bad"),
    [
        pytest.param(pool, bad, id=f"{pool}-{bad.id}-{bad.reason}")
        for pool, cases in CASES.items()
        for bad in cases
    ],
)
def test_a_bad_row_is_a_reject_with_its_reason(
    curated: Callable[[str], Curated], pool: str, bad: Bad
) -> None:
    rejects = curated(pool).rows("rejects", "id", "stage", "reason", "detail")
    expected = [(b.id, "embed_pool", b.reason, b.detail) for b in CASES[pool] if b.id == bad.id]
    assert [row for row in rejects if row[0] == bad.id] == expected


@pytest.mark.parametrize("pool", POOLS)
def test_every_row_is_a_point_or_a_reject(curated: Callable[[str], Curated], pool: str) -> None:
    embedded = {row[0] for row in curated(pool).rows("embeddings", "id")}
    figures = curated(pool).summary.metrics["embed_pool"]
    assert len(embedded) == figures["n_points"] == N_GOOD
    assert not embedded & {bad.id for bad in CASES[pool]}
    assert figures["n_rejected"] == len(CASES[pool])
    assert figures["n_pool"] == N_GOOD + len(CASES[pool])


@pytest.mark.parametrize("pool", POOLS)
def test_the_sample_has_its_size_and_none_of_the_bad_rows(
    curated: Callable[[str], Curated], pool: str
) -> None:
    sampled = {row[0] for row in curated(pool).rows("sample_s", "id")}
    assert len(sampled) == TARGET_SIZE
    assert not sampled & {bad.id for bad in CASES[pool]}


# --- guards ---------------------------------------------------------------------------------------

GOOD = [[1.0, 2.0], [2.0, 1.0], [3.0, 1.0], [1.0, 3.0]]


def write_vectors(folder: Path, vectors: list[list[float] | None]) -> dict[str, Any]:
    lines = [json.dumps({"id": f"{i}", "vector": v}) for i, v in enumerate(vectors)]
    (folder / "pool.jsonl").write_text("\n".join(lines))
    return {"input": {"table": str(folder / "pool.jsonl"), "embedding": "vector"}}


def refused(spark: SparkSession, config: RunConfig) -> CurationError:
    with pytest.raises(CurationError) as raised:
        curate.run(spark, config)
    return raised.value


def test_too_many_rejects_stop_the_run_and_are_named(spark: SparkSession, tmp_path: Path) -> None:
    vectors = [*GOOD, *GOOD, [0.0, 0.0], [float("nan"), 1.0], [0.0, 0.0]]
    config = config_of(tmp_path, write_vectors(tmp_path, vectors))
    error = refused(spark, config)
    assert isinstance(error, GuardError)
    assert error.exit_code == 3
    assert str(error) == (
        "3 of 11 rows were rejected (zero_norm 2, nan 1), more than "
        "hygiene.max_reject_fraction=0.1; the rejects table names each row: mend the pool, or "
        "raise the limit"
    )
    lake = Lake(spark, config.output)
    rejects = lake.read("rejects").select("id", "reason").orderBy("id").collect()
    assert [tuple(row) for row in rejects] == [
        ("10", "zero_norm"),
        ("8", "zero_norm"),
        ("9", "nan"),
    ]
    assert not lake.exists("sample_s")
    # nor is the root taken by a pool that never got in
    other = tmp_path / "other"
    other.mkdir()
    open_run(spark, config_of(tmp_path, write_vectors(other, GOOD)))


def test_no_limit_lets_a_pool_of_rejects_pass(spark: SparkSession, tmp_path: Path) -> None:
    pool = write_vectors(tmp_path, [[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
    error = refused(spark, config_of(tmp_path, pool, max_reject_fraction=1.0))
    assert (error.exit_code, str(error)) == (
        3,
        "3 of 3 rows were rejected (constant 2, zero_norm 1), so that none is left; the rejects "
        "table names each row: mend the pool",
    )
