"""`evenlake plan` on a tiny pool: what it says, what it refuses, and that it writes nothing."""

import json
import logging
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import curate, plan_run
from jobs.__main__ import main as evenlake
from jobs.config.model import as_dict
from jobs.planning.machine import GIB, WORKER_LIMIT
from jobs.spark.host import size_bytes
from tests.jobs.tiny import config_of, write_pool


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    write_pool(spark, folder / "pool", 40)
    (folder / "my.yaml").write_text(yaml.safe_dump(as_dict(config_of(folder))))
    return folder


def test_a_plan_counts_the_rows_that_match_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--config", f"{folder}/my.yaml", "--result", f"{folder}/result.json"]
    with caplog.at_level(logging.INFO):
        assert evenlake(["plan", *arguments, "input.where=label = 'a'"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("estimate: ")
    assert "for 20 points of 4 on 2 slots" in said[0]
    assert said[1].startswith("warning: cluster.levels[0]=8 leaves 2.5 points per leaf")
    assert said[2].startswith("warning: samples.0.target_size=20 is 100% of the pool")
    assert "stage=cluster_levels part=iterations level=1 solver=local" in caplog.text

    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "ok"
    plan = result["plan"]
    assert (plan["estimate"]["n_points"], plan["estimate"]["n_features"]) == (20, 4)
    machine = plan["machine"]
    assert machine["heap"] == 3 * GIB
    assert machine["max_result"] is None  # no limit in our own session
    assert machine["overhead"] is None  # no container
    # the two workers share the host
    assert machine["worker_limit"] == max(WORKER_LIMIT, machine["host"] / 2)
    stages = [
        "embed_pool", "find_duplicates", "cluster_levels", "balance_sample", "report_curation",
    ]  # fmt: skip
    assert list(dict.fromkeys(part["stage"] for part in plan["parts"])) == stages
    assert plan["refusals"] == []
    assert not (folder / "lake").exists()


def test_a_plan_has_the_stages_beside_the_run(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = "learnability={source: pool, online: {loss: length(label)}, reference: {loss: '0.5'}}"
    with caplog.at_level(logging.INFO):
        others = ["contrast.source=pool", "contrast.batches={size: 8, max_cosine: 0.9}"]
        assert evenlake(["plan", "--config", f"{folder}/my.yaml", given, *others]) == 0
    assert "stage=score_learnability part=a round" in caplog.text
    assert "stage=mine_negatives part=batches" in caplog.text


@pytest.mark.parametrize("command", [plan_run.main, curate.main])
def test_what_cannot_fit_exits_with_3_before_anything_is_written(
    command, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_run, "host_bytes", lambda: 0.5 * GIB)
    assert command(["--config", f"{folder}/my.yaml"]) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: the plan does not fit: ")
    assert "the host would hold" in last
    assert "and has 0.50 GiB; " in last
    assert not (folder / "lake").exists()


def test_more_leaves_than_rows_are_refused_before_any_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan_run.main(["--config", f"{folder}/my.yaml", "cluster.levels=[41]"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "config: cluster.levels[0]=41 exceeds its input of 40 rows; lower it or drop level 1"
    )


def test_a_session_on_a_cluster_tells_what_its_processes_may_hold(spark: SparkSession) -> None:
    cluster = spark.newSession()
    cluster.conf.set("spark.sql.legacy.setCommandRejectsSparkCoreConfs", "false")
    said = {
        "spark.master": "yarn",
        "spark.driver.maxResultSize": "2g",
        "spark.executor.cores": "4",
        "spark.executor.memory": "80g",
    }
    for key, value in said.items():
        cluster.conf.set(key, value)
    machine = plan_run.machine_of(cluster, 4)
    assert (machine.is_local, machine.max_result) == (False, 2 * GIB)
    assert (machine.n_workers, machine.overhead) == (4, 8 * GIB)
    assert machine.worker_limit == 2 * GIB
    cluster.conf.set("spark.executor.pyspark.memory", "4g")
    machine = plan_run.machine_of(cluster, 4)
    assert (machine.overhead, machine.worker_limit) == (None, 1 * GIB)


@pytest.mark.parametrize(
    ("said", "n_bytes"),
    [("8g", 8 * GIB), ("512m", GIB / 2), ("2048", 2048 * 2**20), ("1GB", GIB), ("", 0)],
)
def test_sizes_are_read_as_spark_writes_them(said: str, n_bytes: float) -> None:
    assert size_bytes(said, "m") == n_bytes
