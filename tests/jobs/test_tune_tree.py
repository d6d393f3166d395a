"""Levels and shares left to auto: what is chosen, what is reused, what the guard holds back."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import cluster_levels, curate, embed_pool, find_duplicates, tune_tree
from jobs.__main__ import main as evenlake
from jobs.config.errors import ConfigError, GuardError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.config.resolving import needs_tuning, resolved
from jobs.points.hash_sample import sample_rows
from jobs.runs.opening import open_run
from tests.jobs.determinism import write_files
from tests.pools import grouped_mixture

pytestmark = pytest.mark.whole

N_POINTS, TARGET_SIZE = 4000, 300
STAGES = [
    "embed_pool", "find_duplicates", "tune_tree", "cluster_levels", "balance_sample",
    "report_curation",
]  # fmt: skip
MISFIT = {"levels": [1000, 20, 3], "resampling": {"rounds": 0}}


def config_of(folder: Path, *overrides: str, **sections: Any) -> RunConfig:
    plain = {
        "input": {"table": f"{folder}/pool", "embedding": "embedding"},
        "output": {"root": f"{folder}/lake"},
        "samples": [{"name": "s", "target_size": TARGET_SIZE}],
    }
    return parse_config(plain | sections, overrides)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 200 unrelated concepts as one file, and the same rows as 7 and 64 shuffled ones."""
    folder = tmp_path_factory.mktemp("tune")
    X, _ = grouped_mixture(3, n_points=N_POINTS, n_groups=200, per_group=1, n_features=48)
    write_files(X, folder / "pool", 1, seed=0)
    for n_files in (7, 64):
        write_files(X, folder / str(n_files) / "pool", n_files, seed=1)
    return folder


@pytest.fixture(scope="module")
def summary(spark: SparkSession, folder: Path) -> curate.RunSummary:
    """Curate with everything left to auto."""
    return curate.run(spark, config_of(folder))


def test_a_run_that_leaves_levels_open_ends_with_a_sample_better_than_uniform(
    spark: SparkSession, folder: Path, summary: curate.RunSummary
) -> None:
    assert list(summary.metrics) == ["plan_run", *STAGES]
    tuned, report = summary.metrics["tune_tree"], summary.metrics["report_curation"]
    assert tuned["relative_coverage"] < 0.95
    gap, error = (report[f"s.coverage.coverage_gap{end}"] for end in ("", "_error"))
    assert gap < -2 * error <= 0
    run = open_run(spark, config_of(folder))
    assert not needs_tuning(run.config)  # from the ledger
    assert run.config.cluster.levels == [
        int(tuned[f"level_{t}"]) for t in range(1, 1 + len(run.config.cluster.levels))
    ]
    assert run.lake.read("sample_s").count() == TARGET_SIZE
    nodes = run.lake.read("nodes", run.keys["cluster_levels"]).groupBy("level").count().collect()
    assert {row.level: row["count"] for row in nodes} == dict(
        enumerate(run.config.cluster.levels, start=1)
    )
    page = Path(summary.report_path).read_text()
    assert "How the tree was chosen" in page


def test_the_same_command_chooses_nothing_anew(
    spark: SparkSession, folder: Path, summary: curate.RunSummary
) -> None:
    again = curate.run(spark, config_of(folder, "report.label=null"))
    assert again.reused == STAGES
    assert again.run_id == summary.run_id


@pytest.mark.parametrize(
    ("override", "is_chosen_anew"),
    {
        "samples.0.target_size=200": True,
        "samples.0.share.leaves=0.5": True,
        "cluster.tol=0.01": True,
        "samples.0.on_worse_than_uniform=fail": False,
        "retention.days=7": False,
        "cluster.solver=spark": False,
    }.items(),
)
def test_a_choice_is_made_anew_where_it_may_differ(
    spark: SparkSession,
    folder: Path,
    summary: curate.RunSummary,
    override: str,
    is_chosen_anew: bool,
) -> None:
    assert summary.run_id
    run = open_run(spark, config_of(folder, override))
    assert needs_tuning(run.config) is is_chosen_anew


def test_the_yaml_that_tune_prints_is_the_same_tree_and_sample(
    spark: SparkSession,
    folder: Path,
    summary: curate.RunSummary,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(as_dict(config_of(folder))))
    assert evenlake(["tune", "--config", str(path)]) == 0
    said = capsys.readouterr().out
    assert re.match(r"# coverage distance 0\.\d+ of a uniform sample's on the hash sample", said)
    pasted = yaml.safe_load(said)
    samples = [{"target_size": TARGET_SIZE, **sample} for sample in pasted["samples"]]
    given = config_of(folder, cluster=pasted["cluster"], samples=samples)
    run, auto = (open_run(spark, c) for c in (given, config_of(folder)))
    assert not needs_tuning(run.config)
    later = ["cluster_levels", "balance_sample", "report_curation"]
    assert [run.keys[s] for s in later] == [auto.keys[s] for s in later]
    assert summary.run_id == auto.run_id != run.run_id


@pytest.mark.parametrize("n_files", [7, 64])
def test_the_choice_is_the_same_for_any_partitioning(
    spark: SparkSession, folder: Path, summary: curate.RunSummary, n_files: int
) -> None:
    config = config_of(folder / str(n_files))
    run = open_run(spark, config)
    for job in (embed_pool, find_duplicates, tune_tree):
        run.do(job.STAGE)
    figures, mine = run.figures(tune_tree.STAGE), summary.metrics["tune_tree"]
    assert set(figures) == set(mine)
    assert {n: v for n, v in figures.items() if n != "seconds"} == {
        n: v for n, v in mine.items() if n != "seconds"
    }


def test_a_stage_that_needs_the_choice_asks_for_it(spark: SparkSession, folder: Path) -> None:
    config = config_of(folder, "seed=9")
    with pytest.raises(ConfigError, match="embed_pool has not finished"):  # it comes first
        cluster_levels.run(spark, config)
    embed_pool.run(spark, config)
    find_duplicates.run(spark, config)
    with pytest.raises(ConfigError, match="tune_tree has not finished for this config and input"):
        cluster_levels.run(spark, config)


def test_an_event_counts_once_where_the_share_alone_is_left_open(
    spark: SparkSession, folder: Path
) -> None:
    config = config_of(folder, cluster={"levels": [8], "resampling": {"rounds": 0}})
    run = open_run(spark, config)
    for job in (embed_pool, find_duplicates, tune_tree):
        run.do(job.STAGE)
    open_run(spark, config, is_refresh=True).do(cluster_levels.STAGE)
    again = open_run(spark, config)
    assert not needs_tuning(again.config)
    assert again.ledger.incarnation(again.key(cluster_levels.STAGE)) == 1


# --- the guard ------------------------------------------------------------------------------------


def test_a_sample_worse_than_uniform_is_warned_of_or_held_back(
    spark: SparkSession,
    folder: Path,
    summary: curate.RunSummary,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert summary.run_id
    wanted = {"target_size": TARGET_SIZE, "share": {"leaves": 0}}
    held = {"name": "held", "on_worse_than_uniform": "fail"} | wanted
    config = config_of(folder, cluster=MISFIT, samples=[held])
    with pytest.raises(GuardError) as refused:
        curate.run(spark, config)
    assert refused.value.exit_code == 3
    said = str(refused.value)
    assert re.match(
        r"held covers the pool worse than a uniform sample of its size: coverage distance "
        r"\+\d+\.\d% ± \d+\.\d%( averaged over communities, so that a few broad concepts may fill "
        r"the sample)?; levels 1000/20/3 do not fit the data: leave cluster\.levels",
        said,
    )
    assert said.endswith("nothing was published")
    assert not open_run(spark, config).lake.exists("sample_held")

    warned = config_of(folder, cluster=MISFIT, samples=[{"name": "warned"} | wanted])
    with caplog.at_level(logging.WARNING):
        summary = curate.run(spark, warned)
    assert "warned covers the pool worse than a uniform sample" in caplog.text
    (told,) = [line for line in str(summary).splitlines() if line.startswith("warning: warned")]
    assert "leave cluster.levels and share to auto" in told
    page = Path(summary.report_path).read_text()
    assert "worse than uniform" in page
    assert "levels 1000/20/3 do not fit the data" in page
    assert open_run(spark, warned).lake.read("sample_warned").count() == TARGET_SIZE


# --- what tuning relies on ------------------------------------------------------------------------


def test_a_choice_takes_the_place_of_auto_and_of_nothing_else(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    chosen = config.cluster.model_copy(
        update={
            "levels": [300, 150],
            "resampling": config.cluster.resampling.model_copy(update={"rounds": [3, 0]}),
        }
    )
    found = resolved(config, [300, 150], [3, 0], 0.25, 0.5)
    assert found.cluster == chosen
    assert found.samples[0].share.powers == (0.25, 0.5)
    assert parse_config(as_dict(found)) == found
    assert parse_config(as_dict(config)) == config  # auto stays auto
    # given levels and shares stay as they are
    given = config_of(tmp_path, "cluster.levels=[7,3]", "samples.0.share.leaves=0.75")
    assert resolved(given, [], [], 0.25, 0.5) == given


def test_hash_samples_are_the_smallest_hashes_whatever_the_partitioning(
    spark: SparkSession,
) -> None:
    rows = spark.createDataFrame([(f"p{i}", i) for i in range(5000)], "id string, n long")
    wanted = [("a", 40), ("b", 700), ("a", 10)]
    found = [
        [t["id"].to_pylist() for t in sample_rows(r, wanted, 5000, seed=3)]
        for r in (rows.repartition(1), rows.repartition(6))
    ]
    for (salt, n), ids in zip(wanted, found[0], strict=True):
        hashed = rows.withColumn("hash", F.xxhash64("id", F.lit(salt), F.lit(3)))
        brute = [r.id for r in hashed.orderBy("hash", "id").limit(n).collect()]
        assert ids == brute
    assert found[0] == found[1]
    assert found[0][2] == found[0][0][:10]
    (whole,) = sample_rows(rows, [("a", 9999)], 5000, seed=3)
    assert np.array_equal(np.sort(whole["n"].to_numpy()), np.arange(5000))
