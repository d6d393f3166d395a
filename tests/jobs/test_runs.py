"""The ledger: what is reused, what is repeated, what a failure leaves, who owns a sample."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, curate, embed_pool, report_curation
from jobs.config.errors import ConfigError
from jobs.config.model import as_public_dict
from jobs.config.secrets import without_secrets
from jobs.runs.keys import lineage, stage_keys
from jobs.runs.run import Run, open_run
from jobs.tables.lake import Lake
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


@pytest.fixture(scope="module")
def configure(curated: Path, tmp_path_factory: pytest.TempPathFactory) -> Configure:
    """Configure runs of the curated pool on a copy of its root, this module's own."""
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


def run_stages(spark: SparkSession, run: Run, *jobs: Any) -> None:
    for job in jobs:
        job.run(spark, run.config, within=run)


def finished(run: Run) -> list[str]:
    """Return the stages that the ledger knows as finished."""
    run.ledger.read(run.keys.values())
    stages = []
    for stage in GIVEN:
        try:
            run.figures(stage)
        except ConfigError as error:
            assert str(error).startswith(f"{stage} has not finished for this config and input")
        else:
            stages.append(stage)
    return stages


# --- reuse ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "reused"),
    {
        "seed=0": GIVEN,
        "cluster.solver=spark": GIVEN,
        "cluster.checkpoint_interval=60": GIVEN,
        "spark.driver_memory=2g": GIVEN,
        "retention.days=7": GIVEN,
        "input.options.password=rotated": GIVEN,
        "report.label=label": (EMBED, CLUSTER, SAMPLE),
        "samples.0.target_size=12": (EMBED, CLUSTER),
        "samples.0.share.leaves=1": (EMBED, CLUSTER),
        "cluster.levels=[7,3]": (EMBED,),
        "cluster.resampling.rounds=2": (EMBED,),
        "seed=1": (),
        "embed.normalize=false": (),
        "input.where=label='a'": (),
        "input.options.mergeSchema='true'": (),
    }.items(),
)
def test_a_change_repeats_the_stages_that_read_it_and_those_after(
    base: Run, configure: Configure, override: str, reused: tuple[str, ...]
) -> None:
    config = configure(override)
    run = replace(base, config=config, keys=stage_keys(config, base.pool.fingerprint))
    assert finished(run) == list(reused)


def test_what_changes_no_answer_is_reused_to_the_last_stage(
    spark: SparkSession, configure: Configure, base: Run
) -> None:
    config = configure("cluster.solver=spark", "spark.shuffle_partitions=3")
    with new_events(base.lake) as events:
        summary = curate.run(spark, config)
    assert told(events) == outcome(n_reused=4)
    assert {row.stage: row.stage_key for row in events} == {s: base.keys[s] for s in GIVEN}
    assert (summary.run_id, summary.reused) == (base.run_id, list(GIVEN))


def test_another_version_of_the_pool_repeats_everything(
    spark: SparkSession, configure: Configure, base: Run
) -> None:
    run = open_run(spark, configure("input.version=null"))
    assert finished(run) == []
    with new_events(base.lake) as events:
        run_stages(spark, run, embed_pool)
    assert told(events) == {EMBED: DONE}
    assert run.figures(EMBED)["n_points"] == N_POINTS + N_LATER
    # the newest version is the same input whether it is named or found
    assert open_run(spark, configure("input.version=1")).keys == run.keys


# --- failures and refreshes -----------------------------------------------------------------------


def _fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("the disk is full")


def test_a_failed_run_leaves_the_published_sample_and_its_command_finishes(
    spark: SparkSession, configure: Configure, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("samples.0.target_size=12")
    published = lake.read("sample_s").orderBy("id").collect()
    with monkeypatch.context() as broken, new_events(lake) as events:
        broken.setattr(report_curation, "render_page", _fail)
        with pytest.raises(RuntimeError, match="the disk is full"):
            curate.run(spark, config)
    assert told(events) == outcome(n_reused=2) | {REPORT: ["started", "failed"]}
    assert events[-1].notes == "RuntimeError: the disk is full"
    assert lake.read("sample_s").orderBy("id").collect() == published

    with new_events(lake) as events:
        curate.run(spark, config)
    assert told(events) == outcome(n_reused=3)
    assert lake.read("sample_s").count() == 12


def test_a_stage_that_failed_halfway_is_finished_without_doubling(
    spark: SparkSession, configure: Configure, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("cluster.levels=[6,2]")
    with monkeypatch.context() as broken, new_events(lake) as events:
        broken.setattr(cluster_levels, "assign_points", _fail)  # the nodes are written by then
        with pytest.raises(RuntimeError, match="the disk is full"):
            run_stages(spark, open_run(spark, config), embed_pool, cluster_levels)
    assert told(events) == {EMBED: ["reused"], CLUSTER: ["started", "failed"]}

    run = open_run(spark, config)
    with new_events(lake) as events:
        run_stages(spark, run, embed_pool, cluster_levels)
    assert told(events) == {EMBED: ["reused"], CLUSTER: DONE}
    assert events[-1].attempt == 2
    assert lake.read("nodes", run.keys[CLUSTER]).count() == 6 + 2
    assert lake.read("assignments", run.keys[CLUSTER]).count() == N_POINTS


WRITTEN = {"embeddings": EMBED, "nodes": CLUSTER, "assignments": CLUSTER, "samples": SAMPLE}


def test_a_refresh_writes_again_and_doubles_nothing(
    spark: SparkSession, configure: Configure, base: Run
) -> None:
    digests = {table: base.lake.describe(table, base.keys[s]) for table, s in WRITTEN.items()}
    # rows that got lost come back, although Delta would skip a commit that it has seen
    for table, stage in (("embeddings", EMBED), ("nodes", CLUSTER)):
        path, key = base.lake.address(table), base.keys[stage]
        spark.sql(f"DELETE FROM delta.`{path}` WHERE stage_key = '{key}'")
    spark.sql(f"DELETE FROM delta.`{base.lake.address('sample_s')}`")

    run = open_run(spark, configure(), is_refresh=True)
    with new_events(base.lake) as events:
        run_stages(spark, run, embed_pool, cluster_levels, balance_sample)
        balance_sample.publish_samples(run)
    assert told(events) == {stage: ["cleaned", *DONE] for stage in (EMBED, CLUSTER, SAMPLE)}
    assert {t: run.lake.describe(t, run.keys[s]) for t, s in WRITTEN.items()} == digests
    assert run.lake.read("sample_s").count() == TARGET_SIZE


def test_digests_name_content_whatever_the_layout(base: Run) -> None:
    mine = base.lake.read("runs").where(F.col("stage_key").isin(list(base.keys.values())))
    told_of = {row.stage: dict(row.digests) for row in mine.where("event = 'finished'").collect()}
    assert {"embeddings", "rejects", "metadata"} <= set(told_of[EMBED])
    assert {"nodes", "assignments", "iterations"} <= set(told_of[CLUSTER])
    rows = base.lake.read("assignments", base.keys[CLUSTER]).repartition(5)
    base.lake.write("assignments", rows, "elsewhere")
    copied = base.lake.describe("assignments", "elsewhere")
    assert copied == (N_POINTS, told_of[CLUSTER]["assignments"])


# --- published samples ----------------------------------------------------------------------------


def test_a_published_sample_is_not_for_another_config_unless_told(
    spark: SparkSession, configure: Configure, lake: Lake
) -> None:
    config = configure("cluster.max_iter=9")
    with new_events(lake) as events, pytest.raises(ConfigError) as refused:
        curate.run(spark, config)
    owner, mine = lineage(configure()), lineage(config)
    assert refused.value.exit_code == 2
    assert str(refused.value) == (
        f"sample_s was published by another config (lineage {owner}, this one is {mine}); name "
        "this sample otherwise, or say --replace-sample"
    )
    assert events == []  # refused before any work
    balance_sample.require_publishable(open_run(spark, config, replaces_samples=True))


@pytest.mark.parametrize(
    "override",
    [
        "input.version=null",
        "input.options.password=rotated",
        "samples.0.target_size=5",
        "report.label=label",
        "cluster.solver=spark",
    ],
)
def test_a_sample_stays_its_configs_own(configure: Configure, override: str) -> None:
    assert lineage(configure(override)) == lineage(configure())


# --- secrets --------------------------------------------------------------------------------------

HIDDEN = {
    f"s3a://AKIA:{SECRET}@bucket/pool": "s3a://***@bucket/pool",
    f"s3a://AKIA:{SECRET}/{SECRET}@bucket/pool": "s3a://***@bucket/pool",
    f"jdbc:postgresql://u:{SECRET}@{SECRET}@host/db": "jdbc:postgresql://***@host/db",
    f"https://a.blob.net/c?sv=1&sig={SECRET}&se=2": "https://a.blob.net/c?sv=1&sig=***&se=2",
    f"fs.s3a.secret.key={SECRET}": "fs.s3a.secret.key=***",
    f'{{"password": "{SECRET}", "user": "me"}}': '{"password": "***", "user": "me"}',
    f'{{"password": "two words, \\" {SECRET}", "user": "me"}}': '{"password": "***", "user": "me"}',
    f"Authorization: Bearer {SECRET}": "Authorization: ***",
    f"401 for Bearer {SECRET}{SECRET}": "401 for Bearer ***",
    f"passphrase={SECRET} x": "passphrase=*** x",
    f"parquet.encryption.key.list=k:{SECRET}": "parquet.encryption.key.list=***",
}
SHOWN = [
    "abfss://container@account.dfs.core.windows.net/pool",
    "hdfs://namenode:8020/user@home/pool",
    "tokenizer=wordpiece",
    "design=blue",
    "keys: id",
    '{"password": "", "user": "me"}',
    "a bearer of news",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_credentials_are_blanked_and_nothing_else(text: str) -> None:
    assert without_secrets(text) == HIDDEN[text]


@pytest.mark.parametrize("text", SHOWN)
def test_what_only_looks_like_a_credential_is_kept(text: str) -> None:
    assert without_secrets(text) == text


def test_a_public_config_keeps_all_but_the_credentials(configure: Configure, curated: Path) -> None:
    odd = json.dumps({"api_key": f'{SECRET} "and, {SECRET}', "sep": ";"})
    public = as_public_dict(configure(f"input.options={odd}"))
    assert public["input"]["options"] == {"api_key": "***", "sep": ";"}
    assert public["input"]["table"] == f"{curated}/pool"


def test_no_credentials_in_the_ledger_and_on_the_page(base: Run) -> None:
    assert SECRET in str(base.config)
    assert SECRET not in str(base.lake.read("runs").collect())
    pages = base.lake.read("artifacts").where("name = 'report.html'").select("content").collect()
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
    rows = Lake(spark, config.output).read("runs").orderBy("at").collect()
    assert [row.event for row in rows] == ["started", "failed"]
    assert rows[1].notes == "RuntimeError: 403 from https://***@host/?sig=***"
    assert list(rows[1].inputs) == [f"{tmp_path}/s3a:/***@bucket/pool"]
    assert SECRET not in str(rows)
