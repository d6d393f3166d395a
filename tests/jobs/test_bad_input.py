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

from jobs import curate, embed_pool
from jobs.lake.config import RunConfig
from jobs.lake.errors import ConfigError, CurationError, GuardError, InputError
from jobs.lake.loading import load_config, parse_config
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
            "samples": [{"name": "s", "target_size": TARGET_SIZE, "share": {"leaves": 0.0}}],
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
    error = refused(spark, config_of(tmp_path, pool, "cluster.levels=[2]", max_reject_fraction=1.0))
    assert (error.exit_code, str(error)) == (
        3,
        "3 of 3 rows were rejected (constant 2, zero_norm 1), so that none is left; the rejects "
        "table names each row: mend the pool",
    )


# --- configs --------------------------------------------------------------------------------------

BASE = {
    "input": {"table": "data/pool", "embedding": "vector"},
    "output": {"root": "data/lake"},
    "cluster": {"levels": [8, 3]},
    "samples": [{"name": "s", "target_size": 20, "share": {"leaves": 0.0}}],
}
OVERRIDES = {  # of BASE -> the whole message
    "clusters.levels=[8]": "clusters: unknown key; did you mean cluster?",
    "input.tabel=data/pool": "input.tabel: unknown key; did you mean input.table?",
    "levels=[8]": "levels: unknown key; did you mean cluster.levels?",
    "verbose=true": "verbose: unknown key; conf/base.yaml lists every key",
    "input=data/pool": "input='data/pool': want a mapping of its keys",
    "samples=null": "samples=None: want a list",
    "samples=[]": "samples=[]: want at least 1 entry",
    "seed=soon": "seed='soon': want a whole number",
    "input.options.mergeSchema=true": "input.options.mergeSchema=True: want text",
    "cluster.max_iter=1.5": "cluster.max_iter=1.5: want a whole number",
    "cluster.max_iter=0": "cluster.max_iter=0: want at least 1",
    "cluster.tol=1e-4": (
        "cluster.tol='1e-4': want a number; YAML takes this for text, write 0.0001"
    ),
    "cluster.levels=8": (
        "cluster.levels=8: want 'auto', or nodes per level, leaves first: [1000, 100]"
    ),
    "cluster.levels=[]": (
        "cluster.levels=[]: want 'auto', or nodes per level, leaves first: [1000, 100]"
    ),
    "cluster.levels=[3, 8]": (
        "cluster.levels[1]=8 is not below levels[0]=3; want nodes per level, leaves first, each "
        "level smaller"
    ),
    "cluster.split=1": "cluster.split=1: want at least 2 or 'auto' or 'off'",
    "cluster.levels=many": (
        "cluster.levels='many': want 'auto', or nodes per level, leaves first: [1000, 100]"
    ),
    "cluster.resampling.rounds=[1]": (
        "cluster.resampling.rounds has 1 entries for 2 levels; want one number or one per level"
    ),
    "cluster.resampling.points=0": (
        "cluster.resampling.points=0: want at least 1 or 'auto' or a list"
    ),
    "samples.0.share.leaves=even": "samples.0.share.leaves='even': want a number or 'auto'",
    "samples.0.on_worse_than_uniform=stop": (
        "samples.0.on_worse_than_uniform='stop': want 'warn' or 'fail'"
    ),
    "samples.0.share.points=1.5": "samples.0.share.points=1.5: want at most 1",
    "samples.0.target_size=-5": "samples.0.target_size=-5: want at least 1",
    "samples.0.strategy=best": "samples.0.strategy='best': want 'random' or 'closest'",
    "samples.0.name=../up": "samples.0.name='../up': want text that matches ^[A-Za-z0-9_]+$",
    "samples=[{name: a, target_size: 1}, {name: A, target_size: 2}]": (
        "samples.1.name='A' is taken by samples.0; want unique names, whatever their case"
    ),
    "dedup.exact=true": "dedup.exact=True: not built yet; leave it at its default",
    "outliers.method=knn": "outliers.method='knn': not built yet; leave it at its default",
    "embed.model=sentence-transformers:all-MiniLM-L6-v2": (
        "embed.model='sentence-transformers:all-MiniLM-L6-v2': not built yet; embed elsewhere, "
        "name the column in input.embedding and set embed.model: precomputed"
    ),
    "embed.model=clip": "embed.model='clip': want 'precomputed', 'lsa' or 'pixels'",
    "embed.model=pixels": (
        "input.content is missing; embed.model='pixels' reads the column that it names"
    ),
    "input.embedding=null": (
        "input.embedding is missing; embed.model='precomputed' reads the column that it names"
    ),
    "report.label=digit": "report.label='digit' is not among input.metadata=[]; add it there",
    "output.schema=lake": (
        "output.root is 'data/lake' beside output.schema; want one of them: root (a path), or "
        "schema (with or without catalog)"
    ),
    "output={}": (
        "output.root is missing, and so is output.schema; want one of them: root (a path), or "
        "schema (with or without catalog)"
    ),
    "--full-refreshed": (
        "override '--full-refreshed': want key.sub=value, such as cluster.max_iter=20"
    ),
    "samples.7.target_size=5": (
        "override 'samples.7.target_size=5': '7' is no index of samples, a list of 1; the first "
        "entry is 0"
    ),
    "input.table.name=pool": (
        "override 'input.table.name=pool': input.table is 'data/pool', which has no keys"
    ),
    "seed=[": "override 'seed=[': the value is not valid YAML",
}
FILES = {  # what a config file holds -> the whole message after its path
    b"": " is empty; want a mapping of sections: input, output, samples",
    b"- input\n- output": " holds a list; want a mapping of sections: input, output, samples",
    b"input: [a\noutput: b": " is not valid YAML at line 2: expected ',' or ']', but got ':'",
    b"input: \xff": " is not UTF-8 text at byte 7; want YAML",
    b"a: !!python/object/apply:os.mkdir [made]": (
        " is not valid YAML at line 1: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.mkdir'"
    ),
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_bad_config_says_what_was_found_and_what_is_wanted(override: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(BASE, [override])
    assert str(raised.value) == OVERRIDES[override]


def test_every_wrong_key_is_named_at_once() -> None:
    data = {"cluster": {"levels": [8], "max_iters": 3}, "samples": BASE["samples"], True: 1}
    with pytest.raises(ConfigError) as raised:
        parse_config(data)
    assert str(raised.value).splitlines() == [
        "input: missing; every config needs it",
        "output: missing; every config needs it",
        "cluster.max_iters: unknown key; did you mean cluster.max_iter?",
        "True: a key that is not text; quote it, as YAML reads yes and on as true",
    ]


@pytest.mark.parametrize("content", FILES)
def test_a_bad_file_says_where(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load_config("c.yaml")
    assert str(raised.value) == f"c.yaml{FILES[content]}"
    assert not Path("made").exists()


# --- the door: what only the lake can tell --------------------------------------------------------

SPARK = "(what Spark says)"
COLUMNS = "['id', 'x', 'vector', 'text']"
KINDS = "set input.format to delta, parquet, json, csv, text or binaryFile"
DOOR = {  # overrides -> the whole message; {at} is the folder
    "input.table={at}/nowhere": "input.table='{at}/nowhere' cannot be read: " + SPARK,
    "input.table=nowhere": (
        "input.table='nowhere': no such table in the catalog and no such path; want a table name, "
        "or a path with a slash"
    ),
    "input.table=main.lake.nowhere": (
        "input.table='main.lake.nowhere': no such table in the catalog and no such path; want a "
        "table name, or a path with a slash"
    ),
    "input.table=nofs://bucket/pool": "input.table='nofs://bucket/pool' cannot be read: " + SPARK,
    "input.table={at}/odd": f"input.table='{{at}}/odd' holds files ending in ['.xyz']; {KINDS}",
    "input.table={at}/void": f"input.table='{{at}}/void' holds no files; {KINDS}",
    "input.table={at}/odd & input.format=parquet": (
        "input.table='{at}/odd' cannot be read as parquet: " + SPARK
    ),
    "input.table={at}/files & input.version=0": (
        "input.version=0 needs a Delta table; this is parquet"
    ),
    "input.version=7": "input.table='{at}/pool' cannot be read as delta: " + SPARK,
    "input.where=nothing>1": (
        f"input.where='nothing>1' is no SQL condition over {{at}}/pool, which has {COLUMNS}: "
        + SPARK
    ),
    "input.embedding=vectors": (
        f"input.embedding='vectors' is not a column of {{at}}/pool; it has {COLUMNS}"
    ),
    "input.embedding=text": (
        "input.embedding='text' is string; want an array of numbers, or binary holding raw "
        "little-endian float32"
    ),
    "input.content=vector & embed.model=lsa": (
        "input.content='vector' is array<double>; want string (texts, or paths of images) or "
        "binary (images, or texts in UTF-8)"
    ),
    "input.metadata=[x,label]": (
        f"input.metadata[1]='label' is not a column of {{at}}/pool; it has {COLUMNS}"
    ),
    "input.id=concat(": (
        f"input.id='concat(' is no column or SQL expression over {{at}}/pool, which has {COLUMNS}: "
        + SPARK
    ),
    "input.id=x": (
        "input.id='x' is double; want string, int, bigint or binary, such as cast(x as string)"
    ),
    "output={schema: nowhere}": (
        "output.schema='nowhere' cannot hold the table runs: "
        + SPARK
        + "; want a folder or a schema that you may write to"
    ),
    "output.root={at}/odd/a.xyz": (
        "output.root='{at}/odd/a.xyz' cannot hold the table runs: "
        + SPARK
        + "; want a folder or a schema that you may write to"
    ),
    "input.where=id<0": "the pool is empty: no row is left to curate; check input.where",
    "input.where=id=0": (
        "input.embedding='vector' is null or empty on every row of the pool; check the column"
    ),
}
AFTER_EMBEDDING = {  # the same, where it takes the points to tell
    "cluster.levels=[13]": (
        "cluster.levels[0]=13 exceeds its input of 12 points; lower it or drop level 1"
    ),
    "cluster.levels=[8,3]": (
        "cluster.levels[0]=8: n_clusters=8 should be <= 6, the number of distinct points; lower it "
        "or drop the level"
    ),
    "input.id=cast(id as string)": (
        "output holds ids of type int, input.id='cast(id as string)' is string; one root holds "
        "one type: cast input.id, or choose another output.root"
    ),
    "input.table={at}/files": (
        "output holds the pool '{at}/pool', this config reads '{at}/files'; one root holds one "
        "pool: choose another output.root"
    ),
    "samples.0.name=mine": (
        "sample_mine is there and no published sample; name this sample otherwise, or say "
        "--replace-sample"
    ),
}


@pytest.fixture(scope="module")
def at(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool of 12 points, every vector twice, and a row without any."""
    folder = tmp_path_factory.mktemp("door")
    vectors = [*2 * [[float(i), 1.0] for i in range(2, 8)]]
    rows = [(0, 0.0, None, "a"), *((i, i / 2, v, "b") for i, v in enumerate(vectors, start=1))]
    pool = spark.createDataFrame(rows, "id int, x double, vector array<double>, text string")
    pool.coalesce(1).write.format("delta").save(f"{folder}/pool")
    pool.coalesce(1).write.parquet(f"{folder}/files")
    (folder / "void").mkdir()
    (folder / "odd").mkdir()
    (folder / "odd" / "a.xyz").write_text("neither fish nor flesh")
    return folder


def at_door(spark: SparkSession, at: Path, root: Path, overrides: str) -> InputError | ConfigError:
    pool = {"input": {"table": f"{at}/pool", "embedding": "vector"}}
    told = overrides.replace("{at}", str(at)).split(" & ")
    error = refused(spark, config_of(root, pool, *told))
    assert isinstance(error, InputError | ConfigError)
    assert error.exit_code == 2
    return error


def says(error: CurationError, message: str, at: Path) -> bool:
    """Compare whole messages, but for what Spark says in them."""
    before, _, after = message.replace("{at}", str(at)).partition(SPARK)
    said = str(error)
    if SPARK not in message:
        return said == before
    told = said.removeprefix(before).removesuffix(after)
    return said == before + told + after and 10 < len(told) <= 300 and "\n" not in told


@pytest.mark.parametrize("overrides", DOOR)
def test_the_door_says_what_was_found_and_what_is_wanted(
    spark: SparkSession, at: Path, tmp_path: Path, overrides: str
) -> None:
    error = at_door(spark, at, tmp_path, overrides)
    assert says(error, DOOR[overrides], at), str(error)


@pytest.fixture(scope="module")
def root(spark: SparkSession, at: Path) -> Path:
    """Embed the pool, so that the root is taken; and put another's table into it."""
    config = config_of(at, {"input": {"table": f"{at}/pool", "embedding": "vector"}})
    embed_pool.run(spark, config)
    mine = spark.range(3).write.format("delta").option("userMetadata", "a nightly export")
    mine.save(f"{at}/lake/sample_mine")
    return at


@pytest.mark.parametrize("overrides", AFTER_EMBEDDING)
def test_the_root_and_its_points_are_heeded(
    spark: SparkSession, at: Path, root: Path, overrides: str
) -> None:
    error = at_door(spark, at, root, overrides)
    assert says(error, AFTER_EMBEDDING[overrides], at), str(error)
    assert spark.read.format("delta").load(f"{root}/lake/sample_mine").count() == 3
