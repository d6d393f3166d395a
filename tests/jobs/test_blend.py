"""Blends of samples: shares at every size, no point twice, and what is too small."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import Row, SparkSession

from jobs import balance_sample, curate, report_curation, verify_run
from jobs.config.errors import ConfigError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.config.resolving import needs_tuning
from jobs.explain_point import explain
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.run import Run

pytestmark = pytest.mark.whole

N_POINTS, SIZE = 120, 40
PARTS = [
    {"name": "balanced", "target_size": 60},
    {"name": "odd", "target_size": 45, "must_include": "kind = '1'", "replicas": 2},
]
SHARES = {"balanced": 0.5, "odd": 0.3, "pool": 0.2}
MIX = {"name": "mix", "target_size": SIZE, "blend": SHARES}


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blend")
    X = np.random.default_rng(5).standard_normal((N_POINTS, 4))
    rows = [(f"p{i:03}", x.tolist(), str(i % 4)) for i, x in enumerate(X)]
    pool = spark.createDataFrame(rows, "id string, vector array<double>, kind string")
    for n in (1, 7):
        pool.repartition(n).write.parquet(f"{folder}/{n}/pool")
    return folder


def config_of(folder: Path, *samples: dict[str, Any], n_partitions: int = 1) -> RunConfig:
    at = folder / str(n_partitions)
    even = {"share": {"leaves": 0.0}}
    return parse_config(
        {
            "input": {"table": f"{at}/pool", "embedding": "vector", "metadata": ["kind"]},
            "output": {"root": f"{at}/lake"},
            "cluster": {"levels": [8, 3], "resampling": {"rounds": 1}},
            "samples": [s if "blend" in s else even | s for s in samples],
        }
    )


def drawn(run: Run, name: str) -> list[Row]:
    rows = run.read(balance_sample.STAGE, balance_sample.SAMPLES).collect()
    return sorted((r for r in rows if r["sample"] == name), key=lambda row: row.position)


@pytest.fixture(scope="module")
def curated(spark: SparkSession, folder: Path) -> Run:
    config = config_of(folder, *PARTS, MIX)
    curate.run(spark, config)
    return open_run(spark, config)


def test_every_prefix_holds_the_shares_and_nobody_is_twice(curated: Run) -> None:
    rows = drawn(curated, "mix")
    assert [row.position for row in rows] == list(range(SIZE))
    assert len({row.id for row in rows}) == SIZE
    assert Counter(row.reason for row in rows) == {"balanced": 20, "odd": 12, "pool": 8}
    for n in range(1, SIZE):
        for name, share in SHARES.items():
            assert abs(sum(row.reason == name for row in rows[:n]) - share * n) <= 1
    assert sum(row.pool_weight for row in rows) == pytest.approx(N_POINTS)


def test_parts_take_their_first_rows_that_no_part_before_them_took(curated: Run) -> None:
    rows = drawn(curated, "mix")
    taken: set[str] = set()
    for part in ("balanced", "odd"):
        own = [row.id for row in drawn(curated, part) if row.replica == 0 and row.id not in taken]
        mine = [row.id for row in rows if row.reason == part]
        assert mine == own[: len(mine)]
        taken |= {*mine}


def test_a_uniform_draw_is_no_sample_of_its_own(curated: Run) -> None:
    names = {"balanced": 60, "odd": 45, "mix": SIZE}
    assert curated.outcome(balance_sample.STAGE).sizes == names
    for table in (balance_sample.SAMPLES, balance_sample.ALLOCATIONS):
        stored = curated.read(balance_sample.STAGE, table)
        assert {row["sample"] for row in stored.select("sample").distinct().collect()} == {*names}


def test_allocations_say_how_many_rows_are_below_every_node(curated: Run) -> None:
    stored = curated.read(balance_sample.STAGE, balance_sample.ALLOCATIONS)
    mine = stored.where("sample = 'mix'").collect()
    leaves = {row.node_id: row.quota for row in mine if row.level == 1}
    found = Counter(row.leaf_id for row in drawn(curated, "mix"))
    assert {leaf: quota for leaf, quota in leaves.items() if quota} == found
    top = [row for row in mine if row.level == 2]
    assert sum(row.quota for row in top) == SIZE
    assert sum(row.capacity for row in top) == N_POINTS


def test_a_blend_is_published_explained_and_verified(curated: Run) -> None:
    rows = drawn(curated, "mix")
    published = curated.lake.read("sample_mix").collect()
    assert {(row.id, row.position) for row in published} == {(r.id, r.position) for r in rows}
    within = explain(curated, point=rows[0].id).samples[2]
    assert (within.replicas, within.why_not) == ([0], None)
    assert str(within) == f"sample mix: in it, position 0, taken of {rows[0].reason}"
    (other, *_) = {f"p{i:03}" for i in range(N_POINTS)} - {row.id for row in rows}
    why = explain(curated, point=other).samples[2].why_not
    assert why == "not among the rows that it takes of balanced, odd, pool"
    assert all(
        check.is_ok
        for check in verify_run.run(curated.spark, curated.written, curated.run_id).checks
    )


def test_the_page_says_what_a_blend_is_made_of(curated: Run) -> None:
    page = report_curation.page_of(curated).decode()
    assert "blend of balanced 0.5, odd 0.3, pool 0.2" in page
    assert "A blend takes the rows of its parts" in page


def test_blends_do_not_depend_on_partitions(
    spark: SparkSession, folder: Path, curated: Run
) -> None:
    config = config_of(folder, *PARTS, MIX, n_partitions=7)
    run = open_run(spark, config)
    for stage in RECIPE.on(config)[:4]:  # up to the draw
        run.do(stage)
    for name in ("balanced", "mix"):
        a, b = ([tuple(row)[1:] for row in drawn(of, name)] for of in (curated, run))
        assert a == b


def test_a_part_that_is_too_small_is_named_with_the_nearest_size(
    spark: SparkSession, folder: Path, curated: Run
) -> None:
    small = {"name": "small", "target_size": 10}
    wanted = {"name": "mix", "target_size": 60, "blend": {"balanced": 0.5, "small": 0.5}}
    with pytest.raises(ConfigError, match=r"samples.mix: .* 60 rows, of which 30 are") as found:
        balance_sample.run(spark, config_of(folder, *PARTS, small, wanted))
    most = int(str(found.value).split("want ")[1].split(" ")[0])
    for n, is_possible in ((most, True), (most + 1, False)):
        config = config_of(folder, *PARTS, small, wanted | {"target_size": n})
        try:
            sizes = balance_sample.run(spark, config).sizes
        except ConfigError:
            assert not is_possible
        else:
            assert is_possible
            assert sizes["mix"] == n


def test_a_blend_leaves_nothing_to_tuning_and_changes_no_other_key(folder: Path) -> None:
    def keys(*samples: dict[str, Any]) -> dict[str, str]:
        return RECIPE.keys(config_of(folder, *samples), "input@0")

    alone, beside = keys(*PARTS), keys(*PARTS, MIX)
    changed = {name for name in alone if alone[name] != beside[name]}
    assert {"balance_sample", "report_curation"} <= changed
    assert not changed & {"embed_pool", "cluster_levels"}
    assert not needs_tuning(config_of(folder, *PARTS, MIX))
