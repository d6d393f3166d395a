"""Commits to tables: repeated and late ones change nothing; when a table exists."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.model import OutputConfig
from jobs.spark import ahead
from jobs.spark.classic import load_transactions
from jobs.tables.lake import Lake
from jobs.tables.table import Table

THINGS = Table("things", "id INT, name STRING")


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, OutputConfig(root=str(tmp_path)))


def rows(spark: SparkSession, *names: str) -> DataFrame:
    return spark.createDataFrame(list(enumerate(names)), "id int, name string").coalesce(1)


def names(lake: Lake) -> list[str]:
    return sorted(row.name for row in lake.read(THINGS, "key").collect())


def test_a_table_is_there_once_its_first_commit_is(lake: Lake, tmp_path: Path) -> None:
    assert not lake.exists(THINGS)
    log = tmp_path / "things" / "_delta_log"
    log.mkdir(parents=True)  # a process died there, or is still writing
    (log / ".00000000000000000000.json.1234.tmp").touch()
    assert not lake.exists(THINGS)
    assert lake.write(THINGS, rows(lake.spark, "a"), "key").is_new
    assert lake.exists(THINGS)


def test_a_root_above_a_link_is_one_root_however_it_is_named(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "far" / "target").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "target")
    root = f"{tmp_path}/link/../lake"
    assert os.path.normpath(root) != os.path.realpath(root)
    Lake(spark, OutputConfig(root=root)).write(THINGS, rows(spark, "a"), "key")
    for same in (root, os.path.realpath(root), f"file:{root}", f"{tmp_path}/far/new/../lake/"):
        found = Lake(spark, OutputConfig(root=same))
        assert found.exists(THINGS)
        assert names(found) == ["a"]
        assert found.local_folder == tmp_path / "far" / "lake"
    assert [path.name for path in tmp_path.iterdir() if not path.is_symlink()] == ["far"]


@pytest.mark.parametrize("name", ["a b", "a%20b", "a#b"])
def test_a_root_is_the_folder_that_is_written(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    written = Lake(spark, OutputConfig(root=f"file://{tmp_path}/{name}"))
    first = written.write(THINGS, rows(spark, "a"), "key")
    found = Lake(spark, OutputConfig(root=f"{tmp_path}/{name}"))
    assert found.exists(THINGS)
    assert (found.describe(THINGS, "key"), names(found)) == (replace(first, is_new=False), ["a"])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_of_an_incarnation_the_first_commit_counts_and_the_latest_incarnation_of_all(
    lake: Lake,
) -> None:
    first = lake.write(THINGS, rows(lake.spark, "a", "b"), "key")
    assert (first.n_rows, first.is_new) == (2, True)
    assert lake.describe(THINGS, "key") == first

    again = lake.write(THINGS, rows(lake.spark, "c"), "key")  # a second attempt
    assert again == first
    assert not again.is_new
    assert names(lake) == ["a", "b"]

    redone = lake.write(THINGS, rows(lake.spark, "d"), "key", incarnation=1)
    assert redone.is_new
    late = lake.write(THINGS, rows(lake.spark, "a", "b"), "key")  # from a stalled process
    assert late == redone
    assert names(lake) == ["d"]


@pytest.mark.parametrize("is_ours", [True, False])
def test_transactions_are_looked_up_ahead_in_sessions_of_our_own(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, *, is_ours: bool
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ahead, "load_transactions", lambda _, path: asked.append(path))
    monkeypatch.setattr(ahead, "is_ours", lambda _: is_ours)
    lake.append(THINGS, rows(lake.spark, "a").withColumn("stage_key", F.lit("key")))
    lake.look_ahead(replace(THINGS, name="others"))
    ahead._BEHIND.submit(int).result()  # what was asked before has been done
    wanted = [f"{lake.path('things')}", f"{lake.path('others')}"]
    assert asked == (wanted if is_ours else [])


def test_a_look_at_transactions_that_fails_leaves_them_to_the_commit(
    lake: Lake, tmp_path: Path
) -> None:
    load_transactions(lake.spark, str(tmp_path / "nothing"))
    lake.write(THINGS, rows(lake.spark, "a"), "key")
    load_transactions(lake.spark, str(lake.path(THINGS)))
    assert not lake.write(THINGS, rows(lake.spark, "b"), "key").is_new  # the same transaction
