"""Commits to tables: repeated and late ones change nothing; when a table exists."""

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.config.model import OutputConfig
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
