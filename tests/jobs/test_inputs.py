"""The pool: every kind of input is recognised without its format, and read as users mean it."""

import json
from pathlib import Path

import pytest
from PIL import Image
from pyspark.sql import SparkSession

from jobs.config.model import InputConfig
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import open_pool

TEXTS = [("a", "first text"), ("b", "second, with a comma"), ("c", "third")]


def values(spark: SparkSession, config: InputConfig, value: str = "content") -> list[tuple]:
    rows = pool_columns(open_pool(spark, config), config, value).collect()
    return sorted((row.id, row.value) for row in rows)


@pytest.mark.parametrize("kind", ["delta", "parquet", "json", "csv"])
def test_tables_of_texts(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    frame = spark.createDataFrame(TEXTS, "id string, body string")
    path = str(tmp_path / "pool")
    frame.write.format(kind).options(**({"header": "true"} if kind == "csv" else {})).save(path)
    config = InputConfig(table=path, content="body")
    assert values(spark, config) == TEXTS


def test_one_json_lines_file_with_an_id_made_of_two_columns(
    spark: SparkSession, tmp_path: Path
) -> None:
    lines = [{"shard": 1, "key": "x", "text": "one"}, {"shard": 2, "key": "x", "text": "two"}]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    config = InputConfig(
        table=str(tmp_path / "texts.jsonl"), id="concat_ws('/', shard, key)", content="text"
    )
    assert values(spark, config) == [("1/x", "one"), ("2/x", "two")]


def test_a_folder_of_text_files_is_one_text_per_file(spark: SparkSession, tmp_path: Path) -> None:
    for name, text in TEXTS:
        (tmp_path / f"{name}.txt").write_text(f"{text}\nsecond line")
    config = InputConfig(table=str(tmp_path), id="_metadata.file_name", content="value")
    assert values(spark, config) == [(f"{n}.txt", f"{t}\nsecond line") for n, t in TEXTS]


def test_a_folder_of_images(spark: SparkSession, tmp_path: Path) -> None:
    Image.new("L", (4, 4), 7).save(tmp_path / "one.png")
    config = InputConfig(table=str(tmp_path), id="path", content="content")
    ((id_, content),) = values(spark, config)
    assert id_.endswith("one.png")
    assert content == (tmp_path / "one.png").read_bytes()


def test_a_table_by_name_a_filter_and_metadata(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "named"
    spark.createDataFrame(TEXTS, "id string, body string").write.format("delta").save(str(path))
    spark.sql(f"CREATE TABLE inputs_test USING delta LOCATION '{path}'")
    config = InputConfig(table="inputs_test", content="body", where="id > 'a'", metadata=["body"])
    pool = open_pool(spark, config)
    got = pool_columns(pool, config, "content").orderBy("id").collect()
    spark.sql("DROP TABLE inputs_test")
    assert [(r.id, r.metadata) for r in got] == [(i, {"body": t}) for i, t in TEXTS[1:]]
    assert pool.fingerprint.endswith("@0")


def test_the_fingerprint_follows_the_content_and_pins_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = str(tmp_path / "pool")
    frame = spark.createDataFrame(TEXTS, "id string, body string")
    frame.write.format("delta").save(path)
    config = InputConfig(table=path, content="body")
    pinned = open_pool(spark, config)
    frame.write.format("delta").mode("append").save(path)
    assert open_pool(spark, config).fingerprint != pinned.fingerprint
    assert pinned.rows.count() == 3
    older = open_pool(spark, InputConfig(table=path, content="body", version=0))
    assert (older.rows.count(), older.fingerprint) == (3, pinned.fingerprint)


def test_files_are_fingerprinted_by_path_size_and_time(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"id": "a", "text": "x"}')
    config = InputConfig(table=str(file), content="text")
    before = open_pool(spark, config).fingerprint
    assert open_pool(spark, config).fingerprint == before
    file.write_text('{"id": "a", "text": "longer"}')
    assert open_pool(spark, config).fingerprint != before
