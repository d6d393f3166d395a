"""Contract 4: what is wrong with a pool or a config is named exactly, and nothing is lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, curate, embed_pool, find_duplicates
from jobs.config.errors import ConfigError, CurationError, GuardError, InputError
from jobs.config.loading import load_config, parse_config
from jobs.config.model import RunConfig, SparkConfig
from jobs.environment.host import check_java
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.spark.session import start_local
from jobs.spark.troubles import trouble_of
from jobs.tables.lake import Lake
from tests.jobs import bad_input_page
from tests.jobs.bad_configs import (
    AFTER_EMBEDDING,
    BAD_JAVAS,
    BASE,
    DOOR,
    FILES,
    GUARDS,
    OVERRIDES,
    SESSIONS,
    SPARK,
    TROUBLES,
)
from tests.jobs.bad_rows import CASES, LINES, N_GOOD, NOISE, TAKEN, Bad
from tests.jobs.hostile import write_python_type

TARGET_SIZE = 10


# --- pools ----------------------------------------------------------------------------------------


def lines_pool(spark: SparkSession, folder: Path) -> dict[str, Any]:
    vectors = np.random.default_rng(0).standard_normal((N_GOOD, 4))
    good = [json.dumps({"id": f"good-{i}", "vector": v.tolist()}) for i, v in enumerate(vectors)]
    good += [json.dumps({"id": odd.id} | odd.value) for odd in TAKEN["lines"]]
    (folder / "pool.jsonl").write_text("\n".join([*good, *(bad.value for bad in LINES)]))
    return {"input": {"table": str(folder / "pool.jsonl"), "embedding": "vector"}}


def vectors_pool(spark: SparkSession, folder: Path) -> dict[str, Any]:
    bits = (np.arange(1, N_GOOD + 1)[:, None] >> np.arange(8)) & 1
    good = [(i, v.tobytes()) for i, v in enumerate((2 * bits - 1).astype("<f4"))]
    path = write_rows(spark, folder, good, "vectors", "int")
    return {"input": {"table": path, "embedding": "value"}, "embed": {"normalize": False}}


def images_pool(spark: SparkSession, folder: Path) -> dict[str, Any]:
    good = [(f"good-{i}", image) for i, image in enumerate(NOISE)]
    return {
        "input": {"table": write_rows(spark, folder, good, "images"), "content": "value"},
        "embed": {"model": "pixels", "image_mode": "L", "image_size": 8, "n_components": 8},
    }


def texts_pool(spark: SparkSession, folder: Path) -> dict[str, Any]:
    good = [(f"good-{i}", f"text {i % 7} of concept {i % 5}".encode()) for i in range(N_GOOD)]
    return {
        "input": {"table": write_rows(spark, folder, good, "texts"), "content": "value"},
        "embed": {"model": "lsa", "n_components": 4, "fit_rows": N_GOOD},
    }


def write_rows(
    spark: SparkSession,
    folder: Path,
    good: list[tuple[Any, bytes]],
    pool: str,
    id_type: str = "string",
) -> str:
    rows = good + [(row.id, row.value) for row in [*TAKEN[pool], *CASES[pool]]]
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
class Embedded:
    """A pool with bad rows in it, embedded.

    Attributes
    ----------
    rejects : id, stage, reason, detail
    """

    run: Run
    ids: list[Any]
    rejects: list[tuple[Any, ...]]


def rows_of(run: Run, table: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in run.lake.read(table).select(*columns).collect()]


@pytest.fixture(scope="module")
def embedded(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Embedded]:
    """Embed a pool once, when the first test asks for it."""

    @cache
    def of(pool: str) -> Embedded:
        folder = tmp_path_factory.mktemp(pool)
        config = config_of(folder, POOLS[pool](spark, folder), max_reject_fraction=0.5)
        run = open_run(spark, config)
        run.do(embed_pool.STAGE)
        rejects = rows_of(run, "rejects", "id", "stage", "reason", "detail")
        return Embedded(run, [id_ for (id_,) in rows_of(run, "embeddings", "id")], rejects)

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
    embedded: Callable[[str], Embedded], pool: str, bad: Bad
) -> None:
    expected = [(b.id, "embed_pool", b.reason, b.detail) for b in CASES[pool] if b.id == bad.id]
    assert [row for row in embedded(pool).rejects if row[0] == bad.id] == expected


@pytest.mark.parametrize("pool", POOLS)
def test_every_row_is_a_point_or_a_reject(embedded: Callable[[str], Embedded], pool: str) -> None:
    ids, sizes = set(embedded(pool).ids), embedded(pool).run.outcome(embed_pool.STAGE)
    assert len(ids) == sizes.n_points == N_GOOD + len(TAKEN[pool])
    assert not ids & {bad.id for bad in CASES[pool]}
    assert ids >= {odd.id for odd in TAKEN[pool]}
    assert sizes.n_rejected == len(CASES[pool])
    assert sizes.n_pool == N_GOOD + len(TAKEN[pool]) + len(CASES[pool])


@pytest.mark.parametrize("pool", ["lines", "vectors"])  # ids of text and of numbers
def test_the_sample_has_its_size_and_none_of_the_bad_rows(
    embedded: Callable[[str], Embedded], pool: str
) -> None:
    run = embedded(pool).run
    run.do(find_duplicates.STAGE)
    run.do(cluster_levels.STAGE)
    run.do(balance_sample.STAGE)
    sampled = {id_ for (id_,) in rows_of(run, "samples", "id")}
    assert len(sampled) == TARGET_SIZE
    assert sampled <= set(embedded(pool).ids)
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
        "hygiene.max_reject_fraction=0.1; the rejects table names each row: fix the pool, or "
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
    # nor does a rejected pool claim the root
    other = tmp_path / "other"
    other.mkdir()
    open_run(spark, config_of(tmp_path, write_vectors(other, GOOD)))


@pytest.mark.parametrize("what", GUARDS)
def test_what_no_run_can_go_on_with_is_told(spark: SparkSession, tmp_path: Path, what: str) -> None:
    guarded = GUARDS[what]
    pool = write_vectors(tmp_path, guarded.vectors)
    error = refused(spark, config_of(tmp_path, pool, *guarded.overrides))
    assert (error.exit_code, str(error)) == (guarded.exit_code, guarded.message)


def test_no_limit_lets_a_pool_of_rejects_pass(spark: SparkSession, tmp_path: Path) -> None:
    pool = write_vectors(tmp_path, [[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
    error = refused(spark, config_of(tmp_path, pool, "cluster.levels=[2]", max_reject_fraction=1.0))
    assert (error.exit_code, str(error)) == (
        3,
        "3 of 3 rows were rejected (constant 2, zero_norm 1), so that none is left; the rejects "
        "table names each row: fix the pool",
    )


# --- configs --------------------------------------------------------------------------------------


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


@pytest.fixture(scope="module")
def at(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool of 12 points, every vector twice, and a row without any."""
    folder = tmp_path_factory.mktemp("door")
    vectors = [*2 * [[float(i), 1.0] for i in range(2, 8)]]
    rows = [(0, 0.0, None, "a"), *((i, i / 2, v, "b") for i, v in enumerate(vectors, start=1))]
    pool = spark.createDataFrame(rows, "id int, x double, vector array<double>, text string")
    pool = pool.withColumn("words", F.array("text"))
    pool.coalesce(1).write.format("delta").save(f"{folder}/pool")
    pool.coalesce(1).write.parquet(f"{folder}/files")
    (folder / "void").mkdir()
    (folder / "odd").mkdir()
    (folder / "odd" / "a.xyz").write_text("neither fish nor flesh")
    (folder / "junk").mkdir()
    (folder / "junk" / "a.parquet").write_text("neither flesh nor fish")
    write_python_type(folder / "foreign", "json")
    return folder


def at_door(spark: SparkSession, at: Path, root: Path, overrides: str) -> InputError | ConfigError:
    pool = {"input": {"table": f"{at}/pool", "embedding": "vector"}}
    told = overrides.replace("{at}", str(at)).split(" & ")
    error = refused(spark, config_of(root, pool, *told))
    assert isinstance(error, InputError | ConfigError)
    assert error.exit_code == 2
    return error


def says(error: CurationError, message: str, at: Path) -> bool:
    """Compare whole messages, except for Spark's own words in them."""
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
    """Embed the pool, so that the root is taken, and put a foreign table into it."""
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


# --- sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_that_cannot_do_is_told_apart(at: Path, tmp_path: Path, session: str) -> None:
    jars = sorted((Path.home() / ".ivy2.5.2" / "jars").glob("io.delta_delta-spark_*.jar"))
    if "no Delta" not in session and not jars:
        pytest.skip("Delta's jars came from elsewhere than ~/.ivy2.5.2")
    given = [] if "no Delta" in session else [str(jars[-1])]  # without the jars that it needs
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.broken_session", f"{at}/pool", f"{tmp_path}/r", *given],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == f"1 {SESSIONS[session]}\n", done.stderr[-2000:]


# --- machines -------------------------------------------------------------------------------------


@pytest.mark.parametrize("raised", TROUBLES)
def test_a_machines_trouble_is_said_with_what_to_do(raised: str) -> None:
    try:
        try:
            raise PySparkException(f"Job aborted due to stage failure: {raised}")
        except PySparkException as cause:
            raise RuntimeError("the write failed") from cause
    except RuntimeError as error:
        trouble = trouble_of(error)
    assert (trouble.exit_code, str(trouble)) == (1, TROUBLES[raised][1])


def test_an_error_of_another_kind_is_no_machines_trouble() -> None:
    assert trouble_of(ValueError("space")) is None
    assert trouble_of(ConfigError("No space left on device")) is None


@pytest.mark.parametrize("what", BAD_JAVAS)
def test_a_java_that_will_not_do_is_named_alike_by_a_run_and_by_the_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    home, message = (text and text.replace("{at}", str(tmp_path)) for text in BAD_JAVAS[what])
    java = tmp_path / "11" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho '    java.specification.version = 11' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", home)
    with pytest.raises(CurationError) as refused:
        start_local(SparkConfig())
    assert str(refused.value) == message
    assert str(check_java()) == f"FAIL     java: {message}"


def test_a_command_without_java_says_what_to_install(at: Path, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(
        f"input: {{table: {at}/pool, embedding: vector}}\noutput: {{root: {tmp_path}/lake}}\n"
        "samples: [{name: s, target_size: 2}]\n"
    )
    command = [sys.executable, "-m", "jobs.curate", "--config", str(tmp_path / "my.yaml")]
    bare = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"} | {"PATH": str(tmp_path)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=bare, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {BAD_JAVAS['no Java'][1]}"


# --- the page -------------------------------------------------------------------------------------


def test_the_page_of_bad_input_is_made_of_these_tables() -> None:
    page = Path(__file__).parents[2] / "BAD_INPUT.md"
    assert page.read_text("utf-8") == bad_input_page.render(), (
        "BAD_INPUT.md is behind; repeat: python -m tests.jobs.bad_input_page"
    )
