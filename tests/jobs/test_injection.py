"""Contract 5: what a pool or a lake holds is only ever treated as data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs import curate
from jobs.catalog.tables import quoted_name
from jobs.config.errors import ConfigError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import InputConfig, OutputConfig, RunConfig
from jobs.pool.inputs import open_pool
from jobs.report_curation import STAGE, export_page
from jobs.runs.opening import open_run
from jobs.tables.lake import Lake
from tests.jobs.hostile import BEACON, TEXTS, write_python_type

pytestmark = pytest.mark.whole

N_POINTS = 64
LABEL = "`la'bel`.</script><script>document.title='owned'</script>${env:HOME}--;"
VECTOR = '\'; DROP TABLE "x" -- ve`ctor.a'
PLACE = "a '; DROP TABLE x; -- `b`` %41 <script> \u202e$HOME"  # a folder's name
HOSTILE_BYTES = b"%PDF-1.4 \x80\x04\x95 cos\nsystem\n(S'touch owned'\ntR."


class Curated(NamedTuple):
    """A curated pool of hostile texts."""

    folder: Path
    lake: Lake
    summary: curate.RunSummary
    stray: list[str]  # what is new outside the root


def ids() -> list[str]:
    return TEXTS + [f"{TEXTS[i % 20]}#{i}" for i in range(N_POINTS - len(TEXTS))]


def config_of(folder: Path) -> RunConfig:
    return parse_config(
        {
            "input": {
                "table": f"{folder}/{PLACE}/pool",
                "embedding": VECTOR,
                "metadata": [LABEL],
                "where": "id != 'nobody'",
            },
            "output": {"root": f"{folder}/{PLACE}/lake"},
            "report": {"label": LABEL},
            "cluster": {"levels": [8, 3], "resampling": {"rounds": 0}},
            "samples": [{"name": "s", "target_size": 20, "share": {"leaves": 0.0}}],
        }
    )


def files_of(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


@pytest.fixture(scope="module")
def curated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Curate hostile texts in a hostile place, from a separate working directory."""
    folder = tmp_path_factory.mktemp("injection")
    vectors = np.random.default_rng(0).standard_normal((N_POINTS, 4)).tolist()
    rows = [(i, v, i[:200]) for i, v in zip(ids(), vectors, strict=True)]
    rows.append((f"{TEXTS[0]} rejected", [0.0] * 4, TEXTS[4]))
    columns = ", ".join("`" + c.replace("`", "``") + "`" for c in (VECTOR, LABEL))
    vector, label = columns.split(", ")
    frame = spark.createDataFrame(rows, f"id string, {vector} array<double>, {label} string")
    pool = frame.coalesce(1).write.format("delta").option("delta.columnMapping.mode", "name")
    pool.save(f"{folder}/{PLACE}/pool")
    (folder / "cwd").mkdir()
    home = Path.cwd()
    before = files_of(folder)
    os.chdir(folder / "cwd")
    try:
        summary = curate.run(spark, config_of(folder))
    finally:
        os.chdir(home)
    stray = [p for p in files_of(folder) - before if not p.startswith(f"{PLACE}/lake")]
    return Curated(folder, Lake(spark, config_of(folder).output), summary, stray)


def test_hostile_ids_and_labels_come_out_as_they_went_in(curated: Curated) -> None:
    for table in ("embeddings", "assignments"):
        assert {row.id for row in curated.lake.read(table).select("id").collect()} == set(ids())
    metadata = curated.lake.read("metadata").select("id", "metadata").collect()
    assert {row.id: row.metadata for row in metadata} == {i: {LABEL: i[:200]} for i in ids()}
    (reject,) = curated.lake.read("rejects").select("id", "reason").collect()
    assert tuple(reject) == (f"{TEXTS[0]} rejected", "zero_norm")
    sampled = [row.id for row in curated.lake.read("sample_s").select("id").collect()]
    assert len(set(sampled)) == len(sampled) == 20
    assert set(sampled) <= set(ids())
    labels = curated.lake.read("report").where("section = 'labels' AND metric = 'count'")
    assert {row.key for row in labels.select("key").distinct().collect()} == {
        i[:200] for i in ids()
    }


def test_nothing_is_made_outside_the_root(curated: Curated, spark: SparkSession) -> None:
    assert curated.stray == []
    tables = {p.name for p in (curated.folder / PLACE / "lake").iterdir()}
    assert (
        tables
        == {
            *("_locks", "embeddings", "metadata", "rejects", "blocks", "nodes", "assignments"),
            "allocations",
            *("iterations", "samples", "sample_s", "report", "artifacts", "runs", "reports"),
        }
        & tables
    )
    assert {"sample_s", "runs", "reports"} <= tables
    assert not spark.catalog.tableExists("x")


def test_a_second_run_reuses_all_of_it(spark: SparkSession, curated: Curated) -> None:
    run = open_run(spark, config_of(curated.folder))
    assert run.has_finished(STAGE)


# --- names ----------------------------------------------------------------------------------------

BASE = {
    "input": {"table": "pool", "embedding": "v"},
    "output": {"schema": "lake"},
    "samples": [{"name": "s", "target_size": 2}],
}
PATHS = ["../x", "/etc/x", "a/b", "a\\b", "..", "", "a.b", "a`b", "a'b", "a\nb", "a ", "ａ", "a\0"]


@pytest.mark.parametrize("name", PATHS)
def test_a_name_of_a_table_is_letters_digits_and_underscores(name: str) -> None:
    with pytest.raises(ConfigError, match=r"samples\.0\.name=.*want text that matches"):
        parse_config(BASE | {"samples": [{"name": name, "target_size": 2}]})
    if name:  # no prefix is also a prefix
        with pytest.raises(ConfigError, match=r"output\.table_prefix=.*want text that matches"):
            parse_config(BASE | {"output": {"schema": "lake", "table_prefix": name}})


@pytest.mark.parametrize("key", ["input.table", "output.root", "output.schema", "output.catalog"])
@pytest.mark.parametrize("place", ["", "/data/${env:HOME}", "${spark:x}", "a\0b"])
def test_a_place_that_sql_would_take_for_another_is_refused(key: str, place: str) -> None:
    section, name = key.split(".")
    with pytest.raises(ConfigError, match=f"{key}=.*Spark's SQL would replace"):
        parse_config(BASE | {section: {name: place}})


@pytest.mark.parametrize("name", ["x`; DROP TABLE y; --", "a`b", "s'c\"h", "a.b", "a b;--"])
def test_catalog_schema_and_table_are_quoted_each(spark: SparkSession, name: str) -> None:
    lake = Lake(spark, OutputConfig(catalog=name, schema=name, table_prefix="p_"))
    quoted = "`" + name.replace("`", "``") + "`"
    assert lake.address("runs") == f"{quoted}.{quoted}.`p_runs`"


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("docs", "`docs`"),
        ("main.my-lake.docs", "`main`.`my-lake`.`docs`"),
        ("a.`b.c``d`", "`a`.`b.c``d`"),
        ("t; DROP TABLE x --", "`t; DROP TABLE x --`"),
        ("t VERSION AS OF 1", "`t VERSION AS OF 1`"),
    ],
)
def test_every_part_of_an_inputs_name_is_quoted(name: str, quoted: str) -> None:
    assert quoted_name(name) == quoted


@pytest.mark.parametrize("name", ["a..b", ".a", "a.", "a`b", "`a", "``", "`a`b"])
def test_what_is_no_table_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no table name; want parts between dots"):
        quoted_name(name)


def test_files_of_a_catalog_table_may_have_any_name(spark: SparkSession, tmp_path: Path) -> None:
    cities = ["New York", "%41", "a[b]*?", "ü'`;--"]
    frame = spark.createDataFrame(
        [(f"{i}", "t", c) for i, c in enumerate(cities)], "id string, text string, city string"
    )
    path = tmp_path / "a b"
    frame.write.partitionBy("city").option("path", str(path)).saveAsTable("hostile_files")
    try:
        config = InputConfig(table="hostile_files", content="text")
        pool = open_pool(spark, config)
        assert {row.city for row in pool.rows.collect()} == set(cities)
        assert len(pool.fingerprint) == 16
    finally:
        spark.sql("DROP TABLE hostile_files")


# --- code -----------------------------------------------------------------------------------------


def test_a_type_that_names_python_code_is_refused_before_it_is_imported(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile_module.py").write_text(
        f"open({str(tmp_path / 'imported')!r}, 'w').close()"
    )
    monkeypatch.syspath_prepend(tmp_path)
    write_python_type(tmp_path / "pool", "hostile_module")
    with pytest.raises(InputError, match=r"Python user-defined types.*\['extra'\]; want plain"):
        open_pool(spark, InputConfig(table=str(tmp_path / "pool"), content="text"))
    assert not (tmp_path / "imported").exists()
    # Connect clients ask in another way, which must recognise such a type too
    rows = spark.read.parquet(str(tmp_path / "pool"))
    told = spark.sql("DESCRIBE QUERY SELECT * FROM {rows}", rows=rows).collect()
    assert [row.data_type for row in told] == ["string", "string", "array<pythonuserdefined>"]


def test_workers_import_nothing_from_the_folder_they_start_in(
    tmp_path: Path,
) -> None:
    lines = [json.dumps({"id": f"{i}", "vector": [i + 1, 2 * i + 5]}) for i in range(9)]
    (tmp_path / "pool.jsonl").write_text("\n".join(lines))
    for name in ("udfs", "jobs", "json", "pyarrow"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close(); raise SystemExit(1)")
    (tmp_path / "c.yaml").write_text(
        "input: {table: ./pool.jsonl, embedding: vector}\noutput: {root: lake}\n"
        "samples: [{name: s, target_size: 2}]\nspark: {master: 'local[1]', driver_memory: 1g}\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "jobs.embed_pool", "--config", "c.yaml"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (tmp_path / "imported").exists()


def test_a_page_is_not_written_through_a_link(spark: SparkSession, curated: Curated) -> None:
    target = curated.folder / "precious"
    target.write_text("mine")
    run = open_run(spark, config_of(curated.folder))
    page = Path(curated.summary.report_path)
    content = page.read_bytes()
    page.unlink()
    page.symlink_to(target)
    assert export_page(run) == str(page)
    assert target.read_text() == "mine"
    assert page.read_bytes() == content
    target.unlink()


# --- the page in a browser ------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


class Loaded(NamedTuple):
    """A page as a browser shows it, and the hosts that it requested."""

    dom: str
    asked: set[str]


def load(page: Path, folder: Path) -> Loaded:
    """Load a page; no name resolves, and the net log shows what was requested."""
    assert CHROMIUM is not None
    log = folder / "net.json"
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-sync", "--no-pings"),
            *(f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}"),
            *("--net-log-capture-mode=Everything", "--virtual-time-budget=10000", "--dump-dom"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Loaded(done.stdout, requested(log))


def requested(log: Path) -> set[str]:
    """Return the addresses that a page requested; the browser's own requests have no origin."""
    requests = (event.get("params", {}) for event in json.loads(log.read_text())["events"])
    asked = {r["url"] for r in requests if r.get("initiator", "not an origin") != "not an origin"}
    return {url for url in asked if not url.startswith(("file:", "data:", "blob:"))}


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here: apt-get install chromium"
)


@needs_chromium
def test_in_a_browser_no_text_of_the_pool_runs_or_loads(curated: Curated, tmp_path: Path) -> None:
    page = Path(curated.summary.report_path)
    loaded = load(page, tmp_path)
    assert 'class="scripted"' in loaded.dom  # the page's own script ran
    assert "js-plotly-plot" in loaded.dom  # and plotly's
    head = loaded.dom[: loaded.dom.index("<style>")]
    assert "curation report</title>" in head
    assert "data-owned" not in loaded.dom[: loaded.dom.index("<head>")]
    assert loaded.asked == set()


@needs_chromium
def test_in_a_browser_the_policy_stops_what_would_slip_through(
    curated: Curated, tmp_path: Path
) -> None:
    page = tmp_path / "slipped.html"
    whole = Path(curated.summary.report_path).read_text("utf-8")
    slipped = "".join(text for text in TEXTS if "<" in text and "http-equiv" not in text)
    page.write_text(whole.replace("<main>", f"<main>{slipped[:5000]}", 1), "utf-8")
    loaded = load(page, tmp_path)
    assert "data-owned" not in loaded.dom[: loaded.dom.index("<head>")]
    assert "curation report</title>" in loaded.dom[: loaded.dom.index("<style>")]
    assert loaded.asked == set()


@needs_chromium
def test_the_browser_would_tell(tmp_path: Path) -> None:
    page = tmp_path / "open.html"
    page.write_text(f"<!DOCTYPE html><html><head></head><body>{TEXTS[4]}{TEXTS[5]}</body></html>")
    loaded = load(page, tmp_path)
    assert "data-owned" in loaded.dom[: loaded.dom.index("<head>")]
    assert any(url.startswith(BEACON) for url in loaded.asked)
