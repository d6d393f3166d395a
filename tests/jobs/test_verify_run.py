"""``evenlake verify``: a run's tables match the ledger, or it names those that do not."""

import shutil
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import cluster_levels, embed_pool, score_learnability, verify_run
from jobs.__main__ import main as evenlake
from jobs.cluster_levels import NODES
from jobs.config.errors import CurationError
from jobs.config.loading import parse_config
from jobs.config.model import as_dict
from jobs.runs.opening import open_run
from tests.jobs.tiny import CLUSTER, EMBED, N_POINTS, config_of

pytestmark = pytest.mark.whole

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run_id(spark: SparkSession, curated: Path) -> str:
    return open_run(spark, config_of(curated)).run_id


@pytest.fixture
def root(curated: Path, tmp_path: Path) -> Path:
    """Copy the root, for a test to change."""
    return Path(shutil.copytree(curated / "lake", tmp_path / "lake"))


@pytest.fixture
def arguments(curated: Path, root: Path, run_id: str) -> list[str]:
    """Return arguments to verify the copied root with a config whose pool does not exist."""
    plain = as_dict(config_of(curated, f"output.root={root}"))
    plain["input"]["table"] = "/nowhere/at/all"
    path = root.parent / "my.yaml"
    path.write_text(yaml.safe_dump(plain))
    return ["verify", run_id, "--config", str(path)]


def test_an_untouched_run_is_as_recorded(
    spark: SparkSession, arguments: list[str], root: Path, curated: Path, capsys: Capture
) -> None:
    files = sorted(root.rglob("*"))
    assert evenlake(arguments) == 0
    assert sorted(root.rglob("*")) == files
    *lines, last = capsys.readouterr().out.splitlines()
    told = {line.split(" ")[1]: line for line in lines}
    assert {"embeddings", "rejects", "nodes", "assignments", "samples", "report"} <= set(told)
    assert all(line.startswith("ok ") for line in lines)
    run = open_run(spark, config_of(curated))
    digest = run.lake.describe(NODES, run.keys[CLUSTER]).digest
    assert told["nodes"] == f"ok nodes (cluster_levels): 11 rows, digest {digest}"
    assert last == f"{len(lines)} tables of run {run.run_id} are as recorded"


def test_tables_changed_by_hand_are_named(
    spark: SparkSession, arguments: list[str], root: Path, run_id: str, capsys: Capture
) -> None:
    spark.sql(f"DELETE FROM delta.`{root}/nodes` WHERE level = 2 AND node_id = 0")
    spark.sql(f"UPDATE delta.`{root}/assignments` SET leaf_id = leaf_id + 1 WHERE id LIKE '%-7'")
    shutil.rmtree(root / "allocations")
    assert evenlake(arguments) == 1
    said = capsys.readouterr()
    wrong = {}
    for line in said.out.splitlines():
        verdict, table, _ = line.split(" ", 2)
        assert verdict in ("ok", "differs")
        if verdict == "differs":
            wrong[table] = line
    assert set(wrong) == {"nodes", "assignments", "allocations"}
    assert "got 10 rows, digest" in wrong["nodes"]
    assert "want 11 rows, digest" in wrong["nodes"]
    assert f"got {N_POINTS} rows, digest" in wrong["assignments"]
    assert f"got no table at {root}/allocations; want 11 rows" in wrong["allocations"]
    assert f"tables of run {run_id} differ from the ledger: " in said.err.splitlines()[-1]


def test_a_file_that_is_gone_is_told_as_its_tables(
    arguments: list[str], root: Path, capsys: Capture
) -> None:
    for file in (root / "samples").rglob("*.parquet"):
        file.unlink()
    assert evenlake(arguments) == 1
    (wrong,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("differs")]
    assert wrong.startswith("differs samples (balance_sample): got what cannot be read: ")


def test_only_finished_stages_are_verified(spark: SparkSession, curated: Path, root: Path) -> None:
    config = config_of(curated, f"output.root={root}", "seed=3")
    run = open_run(spark, config)
    run.do(embed_pool.STAGE)
    run.record(cluster_levels.STAGE, "started")
    found = verify_run.run(spark, config, run.run_id)
    found.require()
    assert {check.stage for check in found.checks} == {EMBED}
    assert found.skipped == {CLUSTER: "started"}


def test_every_round_beside_a_run_is_verified(
    spark: SparkSession, curated: Path, root: Path, run_id: str
) -> None:
    plain = as_dict(config_of(curated, f"output.root={root}"))
    sides = {side: {"loss": f"vector[{i}]"} for i, side in enumerate(("online", "reference"))}
    config = parse_config(plain | {"learnability": {"source": "pool", "rounds": 2} | sides})
    score_learnability.run(spark, config)
    run = open_run(spark, config)
    run.record(score_learnability.STAGE, "started")  # the first round's key: it stays finished
    keys = [one.name for one in score_learnability.selections(run)]
    found = verify_run.run(spark, config, run_id)
    found.require()
    told = {(check.stage, check.table) for check in found.checks}
    assert {(f"score_learnability {key}", "learnability") for key in keys} <= told
    assert not found.skipped
    spark.sql(f"DELETE FROM delta.`{root}/learnability` WHERE round = 0 AND is_selected")
    found = verify_run.run(spark, config, run_id)
    (wrong,) = [check for check in found.checks if not check.is_ok]
    assert (wrong.stage, wrong.table) == (f"score_learnability {keys[0]}", "learnability")
    with pytest.raises(CurationError, match="evenlake learnability --full-refresh writes them"):
        found.require()


def test_rows_are_not_compared_where_the_ledger_does_not_count_them(
    spark: SparkSession, curated: Path, root: Path, run_id: str
) -> None:
    config = config_of(curated, f"output.root={root}")
    ledger = spark.read.format("delta").load(f"{root}/runs")
    kept = F.map_filter("metrics", lambda name, _: ~name.startswith("n_rows."))
    older = ledger.withColumn("metrics", kept).localCheckpoint()
    older.write.format("delta").mode("overwrite").save(f"{root}/runs")
    found = verify_run.run(spark, config, run_id)
    found.require()
    assert not any("rows" in check.want for check in found.checks)


def test_one_run_id_is_wanted(arguments: list[str], capsys: Capture) -> None:
    assert evenlake([*arguments, "another"]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("another: want one RUN_ID; evenlake runs lists them")
    )
