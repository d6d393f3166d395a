"""Tables as declared: shapes, columns added later, and digests that stay the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.config.model import OutputConfig
from jobs.recipe import RECIPE
from jobs.tables.lake import Lake
from jobs.tables.table import Column, Table

SHAPES = Table("shapes", "id {id}, level INT DEFAULT 1, tags MAP<STRING,STRING>, note STRING")
LATER = replace(
    SHAPES,
    ddl="id {id}, size DOUBLE DEFAULT NULL, level INT DEFAULT 1, tags MAP<STRING,STRING>, "
    "op STRING DEFAULT 'upsert', note STRING",
)
ROWS = [("a", {"k": "v"}, "x"), ("b", None, None)]
COLUMNS = "id string, tags map<string,string>, note string"


def test_a_declaration_by_hand() -> None:
    assert Table("t", "id {id}, level INT DEFAULT 1, op STRING DEFAULT 'upsert'").columns == (
        Column("id", "{id}"),
        Column("level", "INT", "1"),
        Column("op", "STRING", "'upsert'"),
    )


def test_every_table_is_declared_once_and_its_columns_too() -> None:
    for table in RECIPE.tables.values():
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names)
        assert set(table.not_content) <= set(names)
        assert all(" " not in column.kind for column in table.columns), table.name
    for stage in RECIPE.stages:
        assert all(RECIPE.tables[table.name] is table for table in stage.tables)


def test_rows_get_the_tables_order_types_and_defaults(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("x", 7, {"k": "v"}, "n")], "note string, id long, " + "tags "
                                 "map<string,string>, more string")  # fmt: skip
    shaped = SHAPES.shaped(rows, "key")
    assert shaped.columns == ["stage_key", "id", "level", "tags", "note"]
    assert [kind for _, kind in shaped.dtypes] == [
        "string", "bigint", "int", "map<string,string>", "string",
    ]  # fmt: skip
    assert [tuple(row) for row in shaped.collect()] == [("key", 7, 1, {"k": "v"}, "x")]


def test_rows_that_carry_their_keys_keep_them(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("k1", 1)], "stage_key string, n int")
    assert Table("t", "n BIGINT").shaped(rows, None).collect()[0].stage_key == "k1"


def test_rows_that_lack_a_column_are_refused(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("a", "x")], "id string, note string")
    with pytest.raises(ValueError, match=r"rows of shapes lack \['tags'\]; they have \['id', 'no"):
        SHAPES.shaped(rows, "key")


def test_rows_of_before_a_column_read_as_its_default(spark: SparkSession) -> None:
    old = SHAPES.shaped(spark.createDataFrame(ROWS, COLUMNS), "key")
    (first, _) = LATER.completed(old).orderBy("id").collect()
    assert (first.size, first.op, first.level, first.note) == (None, "upsert", 1, "x")
    # as if the table has since gained the column, and these rows have no value in it
    widened = old.withColumn("op", F.lit(None).cast("string"))
    assert [row.op for row in LATER.completed(widened).collect()] == ["upsert", "upsert"]


def test_a_null_adds_nothing_to_a_rows_hash(spark: SparkSession) -> None:
    null = F.lit(None).cast("double")
    before, first, last = (
        F.xxhash64("a", "b"),
        F.xxhash64(null, "a", "b"),
        F.xxhash64("a", "b", null),
    )
    rows = spark.createDataFrame([("x", 1), (None, 2), ("y", None)], "a string, b int")
    for row in rows.select(before, first, last).collect():
        assert row[0] == row[1] == row[2]


def test_a_table_gains_columns_and_digests_of_before_stay_true(
    spark: SparkSession, tmp_path: Path
) -> None:
    lake = Lake(spark, OutputConfig(root=str(tmp_path)))
    rows = spark.createDataFrame(ROWS, COLUMNS)
    old = lake.write(SHAPES, rows, "old")
    assert lake.describe(SHAPES, "old") == lake.describe(LATER, "old") == old
    new = lake.write(LATER, rows.withColumn("size", F.lit(2.5)), "new")
    assert lake.describe(LATER, "old") == old
    assert lake.describe(LATER, "new") == new != old
    read = lake.read(LATER, "old").orderBy("id").collect()
    assert [(row.id, row.op, row.size) for row in read] == [
        ("a", "upsert", None),
        ("b", "upsert", None),
    ]


def test_a_digest_depends_on_content_alone(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, OutputConfig(root=str(tmp_path)))
    timed = Table("timed", "n INT, seconds DOUBLE", not_content=("seconds",))
    rows = spark.range(40).selectExpr("cast(id as int) as n", "id / 2 as seconds")
    found = lake.write(timed, rows.repartition(1), "one")
    other = lake.write(timed, rows.withColumn("seconds", F.lit(0.0)).repartition(5, "n"), "two")
    assert found == other == lake.describe(timed, "two")
    assert found.n_rows == 40
    assert lake.write(timed, rows.where("n > 0"), "three") != found
