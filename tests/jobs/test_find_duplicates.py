"""Exact copies: which one stays, where copies no longer appear, and that off changes no key."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs import cluster_levels, curate, embed_pool, find_duplicates, report_curation
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.curate import RunSummary
from jobs.explain_point import explain
from jobs.past.checking import verify
from jobs.past.history import read_history
from jobs.points import surviving as door
from jobs.recipe import RECIPE
from jobs.runs import run as runs
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.tables.shared import REPORT

N_DISTINCT = 40
COPIED = {"p07": ["a", "q1", "q2"], "p20": ["z"], "p33": ["p34b", "p35b"]}  # content: other ids
N_COPIES = sum(map(len, COPIED.values()))


def rows() -> list[tuple[str, list[float], dict[str, str]]]:
    X = np.random.default_rng(3).standard_normal((N_DISTINCT, 4)).astype(np.float32)
    points = {f"p{i:02}": x.tolist() for i, x in enumerate(X)}
    points |= {copy: points[of] for of, copies in COPIED.items() for copy in copies}
    near = points["p05"].copy()
    near[0] = float(np.nextafter(np.float32(near[0]), np.float32(9)))
    points["near"] = near
    return [(id_, x, "even" if i % 2 else "odd") for i, (id_, x) in enumerate(points.items())]


def write(spark: SparkSession, folder: Path, rows: Sequence[Any], n_files: int) -> None:
    frame = spark.createDataFrame(list(rows), "id string, vector array<float>, label string")
    frame.repartition(n_files).write.format("parquet").save(str(folder))


def config_of(folder: Path, root: str, *overrides: str, pool: str = "pool") -> RunConfig:
    plain: dict[str, Any] = {
        "input": {"table": f"{folder}/{pool}", "embedding": "vector", "metadata": ["label"]},
        "output": {"root": f"{folder}/{root}"},
        "dedup": {"exact": True},
        "cluster": {"levels": [8, 2], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": 1000, "share": {"leaves": 0.0}}],
        "report": {"label": "label"},
    }
    return parse_config(plain, overrides)


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("duplicates")
    write(spark, folder / "pool", rows(), 1)
    return folder


@pytest.fixture(scope="module")
def summary(spark: SparkSession, folder: Path) -> RunSummary:
    return curate.run(spark, config_of(folder, "lake"))


@pytest.fixture(scope="module")
def run(spark: SparkSession, folder: Path, summary: RunSummary) -> Run:
    return open_run(spark, config_of(folder, "lake"))


def found(run: Run) -> list[tuple[str, str, int, float]]:
    stored = run.read(find_duplicates.STAGE, find_duplicates.DUPLICATES)
    return sorted((r.id, r.keeper_id, r.group_id, r.cosine_similarity) for r in stored.collect())


def places(run: Run) -> set[tuple[str, int]]:
    stored = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).collect()
    return {(row.id, row.leaf_id) for row in stored}


def keepers() -> dict[str, str]:
    """Return what every copy is a copy of, found without Spark."""
    by_content: dict[tuple[float, ...], list[str]] = {}
    for id_, vector, _ in rows():
        by_content.setdefault(tuple(vector), []).append(id_)
    return {id_: min(ids) for ids in by_content.values() for id_ in ids if id_ != min(ids)}


def test_all_but_the_smallest_id_of_a_content_are_copies(run: Run) -> None:
    copies = found(run)
    assert {id_: keeper for id_, keeper, *_ in copies} == keepers()
    assert len(copies) == N_COPIES
    assert {keeper for _, keeper, *_ in copies} == {"a", "p20", "p33"}
    assert len({group for *_, group, _ in copies}) == len(COPIED)
    assert {similarity for *_, similarity in copies} == {1.0}


def test_copies_reach_no_leaf_and_no_sample(run: Run, summary: RunSummary) -> None:
    stay = {id_ for id_, *_ in rows()} - {*keepers()}
    assert {id_ for id_, _ in places(run)} == stay
    assert {row.id for row in run.lake.read("sample_s").collect()} == stay
    assert door.size_of(run).n_points == len(stay) == N_DISTINCT + 1


def test_the_report_counts_copies_and_the_page_shows_them(run: Run, summary: RunSummary) -> None:
    stored = run.read(report_curation.STAGE, REPORT).where("section = 'duplicates'")
    rows = stored.collect()
    figures = {row.metric: row.value for row in rows if row.key is None}
    assert figures == {
        "n_copies": 6, "n_near": 0, "n_contaminated": 0, "n_groups": 3, "most_copies_of_one": 3,
    }  # fmt: skip
    shown = {row.key: row.value for row in rows if row.metric == "copies"}
    assert shown == {"a and p07": 3, "p33 and p34b": 2, "p20 and z": 1}
    shares = {row.key: row.value for row in rows if row.metric == "share_by_nearest_cosine"}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["0.99 to 1"] >= 2 / (N_DISTINCT + 1)  # the near copy, and what it is near to
    labels = run.read(report_curation.STAGE, REPORT).where(
        "section = 'labels' AND metric = 'count' AND sample IS NULL"
    )
    assert sum(row.value for row in labels.collect()) == N_DISTINCT + 1
    page = Path(summary.report_path).read_text()
    assert "<h2>Duplicates</h2>" in page
    assert "most copies of one" in page


def test_an_explanation_names_who_stays(run: Run) -> None:
    copy = explain(run, point="q1")
    assert str(copy.gate) == "rejected: duplicate, its content is that of 'a', which stays"
    assert copy.samples[0].why_not == str(copy.gate)
    assert explain(run, point="a").gate.status == "accepted"


def test_a_second_run_reuses_it_and_what_it_wrote_verifies(
    spark: SparkSession, folder: Path, run: Run
) -> None:
    config = config_of(folder, "lake")
    again = curate.run(spark, config)
    assert again.reused == [stage.name for stage in RECIPE.on(config)]
    history = read_history(run.lake, RECIPE)
    verify(run.lake, history, history.runs[0]).require()


def test_files_and_where_points_are_held_change_nothing(
    spark: SparkSession, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(spark, folder / "shuffled", rows()[::-1], 5)
    monkeypatch.setattr(door, "HANDED_BYTES", 0)
    monkeypatch.setattr(runs, "HANDED_BYTES", 0)
    other = open_run(spark, config_of(folder, "read", pool="shuffled"))
    for stage in (embed_pool.STAGE, find_duplicates.STAGE, cluster_levels.STAGE):
        other.do(stage)
    assert found(other) == found(run)
    assert places(other) == places(run)


def test_it_enters_the_keys_after_it_where_it_is_on_and_none_where_it_is_off(folder: Path) -> None:
    on, off = (
        RECIPE.keys(config_of(folder, "lake", f"dedup.exact={value}"), "f")
        for value in ("true", "false")
    )
    assert on["embed_pool"] == off["embed_pool"]
    after = ("tune_tree", "cluster_levels", "balance_sample", "report_curation")
    assert all(on[name] != off[name] for name in after)
