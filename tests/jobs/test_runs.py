"""Runs on real tables: what is reused and repeated, what a failure leaves, who owns a sample."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import (
    balance_sample,
    cluster_levels,
    curate,
    embed_pool,
    publish_samples,
    report_curation,
)
from jobs.cluster_levels import ASSIGNMENTS, ITERATIONS, NODES
from jobs.config.errors import ConfigError
from jobs.embed_pool import EMBEDDINGS
from jobs.ledger.events import RUNS
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.tables.lake import Lake
from jobs.tables.shared import ARTIFACTS
from tests.jobs.tiny import (
    CLUSTER,
    EMBED,
    GIVEN,
    N_LATER,
    N_POINTS,
    REPORT,
    SAMPLE,
    SECRET,
    TARGET_SIZE,
    Configure,
    config_of,
    configured_on,
    new_events,
    told,
    write_pool,
)

DONE = ["started", "finished"]
WRITTEN = {
    EMBEDDINGS: embed_pool.STAGE,
    NODES: cluster_levels.STAGE,
    ASSIGNMENTS: cluster_levels.STAGE,
    balance_sample.SAMPLES: balance_sample.STAGE,
}


@pytest.fixture(scope="module")
def configure(curated: Path, tmp_path_factory: pytest.TempPathFactory) -> Configure:
    """Configure runs of the curated pool on this module's own copy of its root."""
    return configured_on(tmp_path_factory.mktemp("runs"), curated)


@pytest.fixture(scope="module")
def base(spark: SparkSession, configure: Configure) -> Run:
    """Open the curated run again."""
    return open_run(spark, configure())


@pytest.fixture
def lake(base: Run) -> Lake:
    return base.lake


def outcome(*, n_reused: int) -> dict[str, list[str]]:
    """Return the events of a run that reuses the first stages and does the others."""
    return {s: ["reused"] if i < n_reused else DONE for i, s in enumerate(GIVEN)}


def n_commits(spark: SparkSession, root: str) -> int:
    """Count the ledger's commits."""
    return spark.sql(f"DESCRIBE HISTORY delta.`{root}/{RUNS.name}`").count()


def _fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("the disk is full")


# --- reuse ----------------------------------------------------------------------------------------


def test_what_changes_no_answer_is_reused_to_the_last_stage_in_one_commit(
    spark: SparkSession, configure: Configure, base: Run
) -> None:
    root = str(base.config.output.root)
    before = n_commits(spark, root)
    config = configure("cluster.solver=spark", "spark.shuffle_partitions=3")
    with new_events(base.lake) as events:
        summary = curate.run(spark, config)
    assert told(events) == outcome(n_reused=len(GIVEN))
    assert {row.stage: row.stage_key for row in events} == {s: base.keys[s] for s in GIVEN}
    assert (summary.run_id, summary.reused) == (base.run_id, list(GIVEN))
    assert n_commits(spark, root) == before + 1


def test_where_one_stage_ends_and_the_next_begins_is_one_commit(
    spark: SparkSession, curated: Path
) -> None:
    assert n_commits(spark, f"{curated}/lake") == len(GIVEN) + 1


def test_another_version_of_the_pool_repeats_everything(
    spark: SparkSession, configure: Configure, base: Run
) -> None:
    run = open_run(spark, configure("input.version=null"))
    assert not any(run.has_finished(stage) for stage in run.recipe.on(run.written))
    with new_events(base.lake) as events:
        embedded = run.do(embed_pool.STAGE)
    assert told(events) == {EMBED: DONE}
    assert embedded.n_points == N_POINTS + N_LATER
    # the newest version is the same input whether it is named or found
    assert open_run(spark, configure("input.version=1")).keys == run.keys


# --- failures and refreshes -----------------------------------------------------------------------


def test_a_failed_run_leaves_the_published_sample_and_its_command_finishes(
    spark: SparkSession, configure: Configure, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("samples.0.target_size=12")
    published = lake.read("sample_s").orderBy("id").collect()
    with monkeypatch.context() as broken, new_events(lake) as events:
        broken.setattr(report_curation, "render_page", _fail)
        with pytest.raises(RuntimeError, match="the disk is full"):
            curate.run(spark, config)
    assert told(events) == outcome(n_reused=3) | {REPORT: ["started", "failed"]}
    assert events[-1].notes == "RuntimeError: the disk is full"
    assert lake.read("sample_s").orderBy("id").collect() == published

    with new_events(lake) as events:
        curate.run(spark, config)
    assert told(events) == outcome(n_reused=4)
    assert lake.read("sample_s").count() == 12


def test_a_stage_that_failed_halfway_is_finished_without_doubling(
    spark: SparkSession, configure: Configure, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("cluster.levels=[6,2]")
    with monkeypatch.context() as broken, new_events(lake) as events:
        broken.setattr(cluster_levels, "join_limbs", _fail)  # by then all its tables are written
        with pytest.raises(RuntimeError, match="the disk is full"):
            cluster_levels.run(spark, config)
    assert told(events) == {CLUSTER: ["started", "failed"]}

    run = open_run(spark, config)
    with new_events(lake) as events:
        run.do(cluster_levels.STAGE)
    assert told(events) == {CLUSTER: DONE}
    assert events[-1].attempt == 2
    assert events[-1].metrics["n_rows.nodes"] == 6 + 2  # read back, as the commit was skipped
    key = run.key(cluster_levels.STAGE)
    assert lake.read(NODES, key).count() == 6 + 2
    assert lake.read(ASSIGNMENTS, key).count() == N_POINTS
    # times are those of the first attempt, in memory too
    stored = lake.read(ITERATIONS, key).select("seconds").collect()
    handed = run.fetch(cluster_levels.STAGE, ITERATIONS, ["seconds"])
    assert sorted(handed["seconds"].to_pylist()) == sorted(row.seconds for row in stored)


def test_a_refresh_writes_again_and_doubles_nothing(
    spark: SparkSession, configure: Configure, base: Run
) -> None:
    found = {table: base.lake.describe(table, base.key(s)) for table, s in WRITTEN.items()}
    # lost rows are written again, although Delta would skip a commit that it has seen
    for table in (EMBEDDINGS, NODES):
        path, key = base.lake.address(table.name), base.key(WRITTEN[table])
        spark.sql(f"DELETE FROM delta.`{path}` WHERE stage_key = '{key}'")
    spark.sql(f"DELETE FROM delta.`{base.lake.address('sample_s')}`")

    run = open_run(spark, configure(), is_refresh=True)
    with new_events(base.lake) as events:
        for stage in (embed_pool.STAGE, cluster_levels.STAGE, balance_sample.STAGE):
            run.do(stage)
        publish_samples.publish_samples(run)
    assert told(events) == {stage: ["cleaned", *DONE] for stage in (EMBED, CLUSTER, SAMPLE)}
    assert {t: run.lake.describe(t, run.key(s)) for t, s in WRITTEN.items()} == found
    assert run.lake.read("sample_s").count() == TARGET_SIZE


def test_digests_name_content_whatever_the_layout(base: Run) -> None:
    mine = base.lake.read(RUNS).where(F.col("stage_key").isin(list(base.keys.values())))
    told_of = {row.stage: dict(row.digests) for row in mine.where("event = 'finished'").collect()}
    assert {"embeddings", "rejects", "metadata"} <= set(told_of[EMBED])
    assert {"nodes", "assignments", "iterations"} <= set(told_of[CLUSTER])
    rows = base.lake.read(ASSIGNMENTS, base.key(cluster_levels.STAGE)).repartition(5)
    base.lake.write(ASSIGNMENTS, rows, "elsewhere")
    copied = base.lake.describe(ASSIGNMENTS, "elsewhere")
    assert (copied.n_rows, copied.digest) == (N_POINTS, told_of[CLUSTER]["assignments"])


# --- published samples ----------------------------------------------------------------------------


def test_a_published_sample_is_not_for_another_config_unless_told(
    spark: SparkSession, configure: Configure, base: Run
) -> None:
    config = configure("cluster.max_iter=9")
    with new_events(base.lake) as events, pytest.raises(ConfigError) as refused:
        curate.run(spark, config)
    owner, mine = (base.recipe.lineage(written) for written in (configure(), config))
    assert refused.value.exit_code == 2
    assert str(refused.value) == (
        f"sample_s was published by another config (lineage {owner}, this one is {mine}); name "
        "this sample otherwise, or say --replace-sample"
    )
    assert events == []  # refused before any work
    publish_samples.require_publishable(open_run(spark, config, replaces_samples=True))


# --- secrets --------------------------------------------------------------------------------------


def test_no_credentials_in_the_ledger_and_on_the_page(base: Run) -> None:
    assert SECRET in str(base.config)
    assert SECRET not in str(base.lake.read(RUNS).collect())
    pages = base.lake.read(ARTIFACTS).where("name = 'report.html'").select("content").collect()
    assert pages
    assert not any(SECRET.encode() in bytes(page.content) for page in pages)


def test_no_credentials_in_the_pools_name_and_in_notes(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"403 from https://me:{SECRET}@host/?sig={SECRET}")

    table = Path(f"{tmp_path}/s3a:/me:{SECRET}@bucket/pool")
    write_pool(spark, table, 1)
    config = config_of(tmp_path, f"input.table={tmp_path}/s3a://me:{SECRET}@bucket/pool")
    monkeypatch.setattr(embed_pool, "gate_rows", fail)
    with pytest.raises(RuntimeError, match=SECRET):
        embed_pool.run(spark, config)
    rows = Lake(spark, config.output).read(RUNS).orderBy("at").collect()
    assert [row.event for row in rows] == ["started", "failed"]
    assert rows[1].notes == "RuntimeError: 403 from https://***@host/?sig=***"
    assert list(rows[1].inputs) == [f"{tmp_path}/s3a:/***@bucket/pool"]
    assert SECRET not in str(rows)
