"""``evenlake runs``: what it reports on past runs, what cleaning removes, and what it must not."""

import io
import shutil
from functools import partial, reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from jobs import (
    balance_sample,
    cluster_levels,
    curate,
    embed_pool,
    find_duplicates,
    list_runs,
    publish_samples,
    report_curation,
    verify_run,
)
from jobs.__main__ import main as evenlake
from jobs.cluster_levels import NODES
from jobs.config.errors import CurationError
from jobs.config.model import RunConfig, as_dict, as_public_dict
from jobs.past import cleaning
from jobs.past.history import read_history
from jobs.recipe import RECIPE
from jobs.runs.checkpoints import CHECKPOINTS
from jobs.runs.opening import open_run
from jobs.tables.digests import digest_columns
from jobs.tables.lake import Lake
from jobs.tables.publishing import last_metadata
from jobs.tables.table import KEY
from jobs.tables.upkeep import count_rows
from tests.jobs.tiny import (
    CLUSTER,
    EMBED,
    GIVEN,
    REPORT,
    SAMPLE,
    SECRET,
    Configure,
    config_of,
    configured_on,
)

pytestmark = pytest.mark.whole

clean = partial(list_runs.clean, keeps_files=True)
Capture = pytest.CaptureFixture[str]
Content = dict[tuple[str, str], tuple[int, str]]
FIRST, SECOND, THIRD = (), ("input.version=1",), ("input.version=1", "report.label=label")


@pytest.fixture(scope="module")
def configure(
    spark: SparkSession, curated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Configure:
    """Curate the pool's second version after its first, then with another report."""
    configure = configured_on(tmp_path_factory.mktemp("list_runs"), curated)
    for overrides in (SECOND, THIRD):
        curate.run(spark, configure(*overrides))
    return configure


@pytest.fixture
def root(configure: Configure, tmp_path: Path) -> str:
    """Copy the root, for a test to change."""
    shutil.copytree(configure().output.root or "", tmp_path / "lake")
    return f"output.root={tmp_path}/lake"


def written(folder: Path, config: RunConfig) -> str:
    """Write a config whose pool does not exist: these commands do not need it."""
    plain = as_dict(config)
    plain["input"]["table"] = "/nowhere/at/all"
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump(plain))
    return str(path)


def content(lake: Lake) -> Content:
    """Count and hash the rows of every table and stage key, except the ledger's."""
    parts = []
    for table in filter(lake.exists, RECIPE.tables.values()):
        rows = lake.read(table)
        hashed = F.xxhash64(*digest_columns(table, rows)).cast("decimal(38, 0)")
        sums = rows.groupBy(KEY).agg(F.count("*").alias("n"), F.sum(hashed).alias("hash"))
        parts.append(sums.withColumn("table", F.lit(table.name)))
    found = reduce(DataFrame.unionByName, parts).collect()
    return {(row.table, row[KEY]): (row.n, str(row.hash)) for row in found}


def keys_in(found: Content) -> set[str]:
    return {key for _, key in found}


def fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("the disk is full")


# --- list and show --------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_with_stages_and_samples(
    spark: SparkSession, configure: Configure, tmp_path: Path, capsys: Capture
) -> None:
    runs = [open_run(spark, configure(*o)).run_id for o in (THIRD, SECOND, FIRST)]
    assert evenlake(["runs", "--config", written(tmp_path, configure())]) == 0
    told = [
        dict(pair.split("=", 1) for pair in line.split(" "))
        for line in capsys.readouterr().out.splitlines()
    ]
    assert [facts["run_id"] for facts in told] == runs
    assert [facts["state"] for facts in told] == ["finished"] * 3
    assert [told[0][stage] for stage in (EMBED, CLUSTER, SAMPLE)] == ["reused"] * 3
    assert all(told[1][stage].endswith("s") for stage in GIVEN)
    assert [facts["published"] for facts in told] == ["s", "-", "-"]
    assert told[0]["s.n_rows"] == "20"
    assert {"s.coverage_gap", "s.effective_nodes.control"} <= set(told[0])

    console = Console(width=200, file=io.StringIO())
    console.print(list_runs.run(spark, configure()).table())
    table = console.file.getvalue()
    assert all(run_id in table for run_id in runs)


def test_one_run_is_shown_in_full_without_its_secrets(
    spark: SparkSession, configure: Configure, curated: Path, tmp_path: Path, capsys: Capture
) -> None:
    this = open_run(spark, configure())
    path = written(tmp_path, configure())
    assert evenlake(["runs", "--config", path, "show", this.run_id[:10]]) == 0
    said = capsys.readouterr().out
    assert f"run_id={this.run_id}\nstate=finished\n" in said
    assert "is_superseded=true" in said
    assert f"input.{this.pool.name}={this.pool.fingerprint}" in said
    assert all(f"stage={stage} key={this.keys[stage]} " in said for stage in GIVEN)
    digest = this.lake.describe(NODES, this.keys[CLUSTER]).digest
    assert f"stage={CLUSTER} table=nodes digest={digest}" in said
    assert said.count(" event=started ") == said.count(" event=finished ") == len(GIVEN)
    assert "n_points=60" in said
    recorded = yaml.safe_load(said.partition("config:\n")[2])
    assert recorded == as_public_dict(config_of(curated))  # the config of the copied root
    assert SECRET not in said


@pytest.mark.parametrize(
    ("words", "message"),
    {
        ("shwo",): "config: runs shwo: want list, show RUN_ID or clean",
        ("show",): "config: runs show: want list, show RUN_ID or clean",
        ("show", "x"): "config: RUN_ID 'x': no such run; evenlake runs lists all 3",
        ("output.root=/nowhere/lake",): (
            "config: no run is recorded at /nowhere/lake/runs; check output in the config, or run "
            "evenlake curate first"
        ),
        ("output.rot=/lake",): "config: output.rot: unknown key; did you mean output.root?",
    }.items(),
)
def test_a_wrong_word_exits_with_2_and_one_clear_line(
    configure: Configure, tmp_path: Path, capsys: Capture, words: tuple[str, ...], message: str
) -> None:
    assert evenlake(["runs", *words, "--config", written(tmp_path, configure())]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == message


def test_an_almost_right_run_id_is_answered_with_the_right_one(
    spark: SparkSession, configure: Configure, tmp_path: Path, capsys: Capture
) -> None:
    right = open_run(spark, configure()).run_id
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    assert evenlake(["runs", "show", wrong, "--config", written(tmp_path, configure())]) == 2
    assert f"did you mean {right}?" in capsys.readouterr().err.splitlines()[-1]


# --- clean ----------------------------------------------------------------------------------------


def test_superseded_runs_go_and_what_the_current_one_stands_on_stays(
    spark: SparkSession, configure: Configure, root: str
) -> None:
    first, second, third = (configure(root, *o) for o in (FIRST, SECOND, THIRD))
    old, middle, current = (open_run(spark, config) for config in (first, second, third))
    lake, before = current.lake, content(current.lake)
    published = last_metadata(lake, "sample_s"), lake.read("sample_s").orderBy("id").collect()

    # none is older than the retention of 30 days
    assert clean(spark, third).leftovers == []
    assert content(lake) == before

    clean(spark, third, older_than_days=0)
    after = content(lake)
    gone = {old.keys[stage] for stage in GIVEN} | {middle.keys[REPORT]}
    assert keys_in(before) - keys_in(after) == gone & keys_in(before)
    assert after == {where: found for where, found in before.items() if where[1] not in gone}
    assert published == (
        last_metadata(lake, "sample_s"),
        lake.read("sample_s").orderBy("id").collect(),
    )
    verify_run.run(spark, third, current.run_id).require()
    assert clean(spark, third, older_than_days=0).leftovers == []

    # all of it is written again, although Delta has seen these transactions
    history = read_history(lake, RECIPE)
    assert history.state_of(history.find(old.run_id)) == "cleaned"
    again, redone = open_run(spark, first), (EMBED, CLUSTER, SAMPLE)
    for stage in (
        embed_pool.STAGE,
        find_duplicates.STAGE,
        cluster_levels.STAGE,
        balance_sample.STAGE,
    ):
        again.do(stage)
    keys = {old.keys[stage] for stage in redone}
    rows = {where: found for where, found in content(lake).items() if where[1] in keys}
    assert rows == {where: found for where, found in before.items() if where[1] in keys}
    assert keys_in(rows) == keys


def test_what_a_failed_stage_left_goes_and_the_same_command_brings_it_back(
    spark: SparkSession, configure: Configure, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(root, "cluster.levels=[6,2]", "samples.0.name=t")
    with monkeypatch.context() as broken:
        broken.setattr(cluster_levels, "join_limbs", fail)  # by then all its tables are written
        with pytest.raises(RuntimeError, match="the disk is full"):
            cluster_levels.run(spark, config)
    lake, key = Lake(spark, config.output), open_run(spark, config).keys[CLUSTER]
    before = content(lake)
    left = {where: found for where, found in before.items() if where[1] == key}
    assert {table for table, _ in left} == {"nodes", "assignments", "iterations"}

    files = sorted(Path(config.output.root or "").rglob("*"))
    told = clean(spark, config, is_dry_run=True)
    assert sorted(Path(config.output.root or "").rglob("*")) == files
    (leftover,) = told.leftovers
    assert (leftover.why, leftover.last.stage_key) == ("failed", key)
    assert leftover.n_rows == {table: n_rows for (table, _), (n_rows, _) in left.items()}
    assert str(told).splitlines()[-1].startswith("would remove: nodes=8 ")

    assert str(clean(spark, config)).splitlines()[-1].startswith("removed: nodes=8 ")
    assert content(lake) == {where: found for where, found in before.items() if where[1] != key}
    cluster_levels.run(spark, config)
    assert {where: found for where, found in content(lake).items() if where in left} == left
    verify_run.run(spark, config, open_run(spark, config).run_id).require()


def test_what_may_be_running_is_left_alone_unless_forced(
    spark: SparkSession, configure: Configure, root: str, tmp_path: Path, capsys: Capture
) -> None:
    config = configure(root, "cluster.max_iter=7")
    run = open_run(spark, config)
    key = run.keys[CLUSTER]
    attempt = run.ledger.begin(CLUSTER, run.keys[CLUSTER], since=None, waits=False, say=print)
    assert attempt is not None
    nodes = run.lake.read(NODES, open_run(spark, configure(root)).keys[CLUSTER])
    run.lake.write(NODES, nodes, key)

    history = read_history(run.lake, RECIPE)
    assert history.state_of(history.find(run.run_id)) == "running"
    arguments = ["runs", "clean", "--config", written(tmp_path, config)]
    assert evenlake(arguments) == 0
    held, files, total = capsys.readouterr().out.splitlines()
    assert held.startswith("may be running, --force removes it: stage=cluster_levels")
    assert files == "files of removed rows stay: a run is under way"
    assert total == "removed: nothing"
    assert count_rows(run.lake, "nodes", [key]) == {key: 11}

    attempt.end()  # as if its process had died
    assert read_history(run.lake, RECIPE).running == set()
    assert history.running == {key}

    assert evenlake([*arguments, "--force", "--keep-files"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "removed: nodes=11"
    assert count_rows(run.lake, "nodes", [key]) == {}
    assert open_run(spark, config).ledger.incarnation(key) == 1

    # rows that an interrupted cleaning did not reach are found by the next
    run.lake.write(NODES, nodes, key, incarnation=5)
    (again,) = clean(spark, config, is_forced=True).leftovers
    assert (again.why, again.n_rows) == ("cleaned", {"nodes": 11})
    assert count_rows(run.lake, "nodes", [key]) == {}


def test_what_is_cleaned_under_a_run_is_not_finished_and_not_published(
    spark: SparkSession, configure: Configure, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(root, *FIRST)  # superseded
    run = open_run(spark, config)
    key = run.keys[REPORT]
    delete = cleaning._delete

    def begins_meanwhile(lake: Lake, leftovers: Any) -> None:
        other = open_run(spark, config)
        attempt = other.ledger.begin(REPORT, key, since=None, waits=False, say=print)
        assert attempt is not None
        delete(lake, leftovers)
        other.ledger.record(REPORT, key, "finished")
        attempt.end()

    run.do(report_curation.STAGE)
    assert run.reused == [REPORT]
    last = read_history(run.lake, RECIPE).by_key[key][-1]
    n_rows = {"report": count_rows(run.lake, "report", [key])[key]}
    left = cleaning.Leftover(last, "superseded", n_rows, may_be_running=False)
    monkeypatch.setattr(cleaning, "_delete", begins_meanwhile)
    assert cleaning.remove(run.lake, [left]) == [left]
    assert open_run(spark, config).ledger.finished(key) is None
    with pytest.raises(CurationError, match=r"cleaned while the run was under way.*same command"):
        publish_samples.publish_samples(run)


def test_files_that_no_table_needs_go_with_the_rows(
    spark: SparkSession, configure: Configure, root: str
) -> None:
    config = configure(root, *THIRD)
    lake, place = Lake(spark, config.output), Path(config.output.root or "")
    published = lake.read("sample_s").orderBy("id").collect()
    key = open_run(spark, config).keys[CLUSTER]
    columns = "incarnation int, sequence bigint, depth int, part int, content binary"
    kept = spark.createDataFrame([(0, 1, 0, 0, b"")], columns)
    lake.replace(CHECKPOINTS, kept, key, transaction="checkpoint/0")  # killed just after finishing

    def files(table: str) -> int:
        return len([f for f in (place / table).rglob("*.parquet") if "_delta_log" not in f.parts])

    before = {table: files(table) for table in [*RECIPE.tables, "runs"] if lake.exists(table)}
    (place / "_locks" / "0123abcd.holder").touch()
    said = list_runs.clean(spark, config, older_than_days=0).files
    assert "files that" in str(said)
    for table, n_before in before.items():
        needed = {Path(uri).name for uri in lake.read(table).inputFiles()}
        assert files(table) == len(needed)
        assert files(table) <= n_before
    assert files("runs") == 1
    assert sum(map(files, before)) < 0.7 * sum(before.values())
    assert not (place / "_locks" / "0123abcd.holder").exists()
    assert count_rows(lake, "checkpoints", [key]) == {}
    assert lake.read("sample_s").orderBy("id").collect() == published
    verify_run.run(spark, config, open_run(spark, config).run_id).require()
