"""The pool changes while a run reads it: a table stays at its version, files end the run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from jobs import cluster_levels, curate, embed_pool, find_duplicates
from jobs.config.errors import InputChangedError
from jobs.config.loading import parse_config
from jobs.config.model import InputConfig, RunConfig
from jobs.ledger.delta_store import DeltaStore
from jobs.pool import inputs
from jobs.pool.inputs import open_pool
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.tables.lake import Lake

pytestmark = pytest.mark.whole


def config_of(folder: Path, root: str = "lake") -> RunConfig:
    return parse_config(
        {
            "input": {"table": f"{folder}/pool", "embedding": "vector"},
            "output": {"root": f"{folder}/{root}"},
            "cluster": {"levels": [8, 2], "resampling": {"rounds": 0}},
            "samples": [{"name": "s", "target_size": 9, "share": {"leaves": 0.0}}],
        }
    )


def pool_of(spark: SparkSession, n_points: int) -> DataFrame:
    points = [(i, [1.0, i + 2.0]) for i in range(n_points)]
    return spark.createDataFrame(points, "id int, vector array<double>")


def changed_while_read(run: Run, change: Callable[[], object]) -> pytest.ExceptionInfo[Exception]:
    """Embed a pool that changes after it was pinned; return the error."""
    change()
    held = set(run.spark.sparkContext._jsc.getPersistentRDDs())
    with pytest.raises(InputChangedError) as refused:
        run.do(embed_pool.STAGE)
    # others may disappear meanwhile: Java collects those that nothing refers to
    assert set(run.spark.sparkContext._jsc.getPersistentRDDs()) <= held
    events = [e.event for e in DeltaStore(run.lake).read([run.key(embed_pool.STAGE)])]
    assert events == ["started", "failed", "cleaned"]
    return refused


@pytest.mark.parametrize("change", ["append", "replace", "remove"])
def test_files_that_change_while_they_are_read_end_the_run(
    spark: SparkSession, tmp_path: Path, change: str
) -> None:
    files = [tmp_path / "pool" / f"{i}.jsonl" for i in range(3)]
    (tmp_path / "pool").mkdir()
    for i, file in enumerate(files):
        file.write_text(json.dumps({"id": i, "vector": [1.0, i + 2.0]}) + "\n")
    config = config_of(tmp_path)
    run = open_run(spark, config)
    changes = {
        "append": lambda: (tmp_path / "pool" / "4.jsonl").write_text('{"id": 4, "vector": [1, 9]}'),
        "replace": lambda: files[0].write_text('{"id": 0, "vector": [5.0, 7.0]}\n'),
        "remove": lambda: [file.unlink() for file in files],
    }
    said = str(changed_while_read(run, changes[change]).value)
    assert "changed while it was read: got files of" in said
    assert "run again" in said
    if change != "remove":
        embed_pool.run(spark, config)  # the same command takes the files as they are now


def test_files_that_cannot_be_listed_for_now_have_not_changed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pool.jsonl").write_text('{"id": 1, "vector": [1.0, 2.0]}\n')
    pool = open_pool(spark, InputConfig(table=f"{tmp_path}/pool.jsonl", embedding="vector"))

    def throttled(*_: object, **__: object) -> None:
        raise PySparkException("503 Slow Down")

    monkeypatch.setattr(inputs, "list_files", throttled)
    with pytest.raises(PySparkException, match="503 Slow Down"):
        pool.require_unchanged()


def test_a_version_whose_files_were_vacuumed_says_so(spark: SparkSession, tmp_path: Path) -> None:
    path = f"{tmp_path}/pool"
    rows = spark.createDataFrame(
        [(i, [1.0, i + 2.0]) for i in range(9)], "id int, vector array<double>"
    )
    rows.write.format("delta").save(path)
    config = config_of(tmp_path)
    run = open_run(spark, config)

    def vacuum() -> None:
        rows.limit(3).write.format("delta").mode("overwrite").save(path)
        check = "spark.databricks.delta.retentionDurationCheck.enabled"
        spark.conf.set(check, "false")
        spark.sql(f"VACUUM delta.`{path}` RETAIN 0 HOURS")
        spark.conf.unset(check)

    said = str(changed_while_read(run, vacuum).value)
    assert "has lost files" in said
    assert "choose a newer input.version" in said


def test_a_pool_that_is_written_while_it_is_read_gives_its_pinned_version(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = f"{tmp_path}/pool"
    rows = pool_of(spark, 40)
    rows.write.format("delta").save(path)

    def samples(summary: curate.RunSummary, root: str) -> list[Row]:
        lake = Lake(spark, config_of(tmp_path, root).output)
        assert lake.read("embeddings").count() == 40
        return sorted(lake.read("sample_s").collect())

    expected = samples(curate.run(spark, config_of(tmp_path, "whole")), "whole")
    run = open_run(spark, config_of(tmp_path, "busy"))
    rows.withColumn("id", F.col("id") + 1000).write.format("delta").mode("append").save(path)
    run.do(embed_pool.STAGE)
    spark.sql(f"UPDATE delta.`{path}` SET vector = array(7D, 7D) WHERE id < 20")
    run.do(find_duplicates.STAGE)
    run.do(cluster_levels.STAGE)
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id > 5")
    assert samples(curate.curate(run), "busy") == expected
