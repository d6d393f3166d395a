"""The pool: every kind of input is recognised without its format, and read as users mean it."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from PIL import Image
from pyspark.sql import SparkSession

from jobs.catalog import tables, views
from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import open_pool
from jobs.reading.files import fingerprint_of
from jobs.reading.local_listing import File

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


def test_a_path_with_parent_steps_gives_the_same_ids(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    for name in ("a/one.txt", "b/two.txt"):
        (tmp_path / "texts" / name).parent.mkdir(parents=True)
        (tmp_path / "texts" / name).write_text(name)
    Image.new("L", (4, 4), 7).save(tmp_path / "texts.png")
    monkeypatch.chdir(tmp_path / "here")
    want = [("a/one.txt", "a/one.txt"), ("b/two.txt", "b/two.txt")]
    for table in ("../texts", f"{tmp_path}/here/../texts", f"file:{tmp_path}/here/../texts"):
        config = InputConfig(table=table, content="value", metadata=["label"])
        assert values(spark, config) == want
        assert open_pool(spark, config).name.endswith(f"{tmp_path}/texts")
    pictures = InputConfig(table="../*.png", content="content")
    ((id_, _),) = values(spark, pictures)
    assert id_ == "texts.png"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_a_fingerprint_does_not_depend_on_the_machines_time_zone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    found = fingerprint_of([File("file:/a", 1_700_000_000_123, 5)])
    monkeypatch.undo()
    time.tzset()
    text = "file:/a\t5\t2023-11-14 22:13:20.123000"
    assert found == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_view_that_is_redefined_is_another_pool(spark: SparkSession, tmp_path: Path) -> None:
    for name, kind in (("one", "delta"), ("two", "parquet")):
        frame = spark.createDataFrame(TEXTS, f"id string, {name} string")
        frame.write.format(kind).save(f"{tmp_path}/{name}")
        spark.read.format(kind).load(f"{tmp_path}/{name}").createOrReplaceTempView(f"{name}_rows")
    config = InputConfig(table="redefined", content="one")
    found = []

    def opened(sql: str) -> str:
        spark.sql(f"CREATE OR REPLACE TEMP VIEW redefined AS {sql}")
        pool = open_pool(spark, config)
        pool.require_unchanged()
        found.append(pool.fingerprint)
        return found[-1]

    joined = "SELECT id, one, two FROM one_rows JOIN two_rows USING (id)"
    assert opened(joined) == opened(joined)
    assert opened("SELECT id, one FROM one_rows") != opened(
        "SELECT id, trim(one) AS one FROM one_rows"
    )
    config = InputConfig(table="redefined", content="two")
    assert opened("SELECT id, two FROM two_rows") != opened(
        "SELECT id, trim(two) AS two FROM two_rows"
    )
    part, *_ = (tmp_path / "two").glob("*.parquet")
    os.utime(part, (1, 1))  # written anew in place
    assert opened(joined) != found[0]
    for name in ("redefined", "one_rows", "two_rows"):
        spark.catalog.dropTempView(name)


def test_a_view_is_identified_by_the_views_and_tables_below_it(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = spark.createDataFrame(TEXTS, "id string, body string")
    frame.coalesce(1).write.format("delta").save(f"{tmp_path}/named")
    spark.sql(f"CREATE TABLE below_named USING delta LOCATION '{tmp_path}/named'")
    spark.sql("ALTER TABLE below_named SET TBLPROPERTIES (delta.enableDeletionVectors = true)")
    frame.write.format("delta").save(f"{tmp_path}/at_path")
    spark.sql("CREATE VIEW below AS SELECT * FROM below_named")
    joined = f"SELECT id, b.body FROM below b JOIN delta.`{tmp_path}/at_path` USING (id)"
    spark.sql(f"CREATE VIEW on_top AS {joined} WHERE id IN (SELECT id FROM below_named)")
    config = InputConfig(table="on_top", content="body")

    def opened() -> tuple[str, str]:
        """Open it with the session's plans at hand, and as Connect does, without them."""
        found = open_pool(spark, config).fingerprint
        with monkeypatch.context() as patched:
            for module in (views, tables):
                patched.setattr(module, "delta_sources", lambda rows: None)
            pool = open_pool(spark, config)
            assert pool.paths
            return found, pool.fingerprint

    found = [opened()]
    spark.sql("CREATE OR REPLACE VIEW below AS SELECT id, trim(body) AS body FROM below_named")
    found.append(opened())
    files = {*(tmp_path / "named").glob("*.parquet")}
    spark.sql(f"DELETE FROM below_named WHERE id = '{TEXTS[0][0]}'")
    assert {*(tmp_path / "named").glob("*.parquet")} == files  # it has a deletion vector
    found.append(opened())
    spark.sql(f"DELETE FROM delta.`{tmp_path}/at_path`")
    found.append(opened())
    assert [len({*each}) for each in zip(*found, strict=True)] == [4, 4]
    for kind, name in (("VIEW", "on_top"), ("VIEW", "below"), ("TABLE", "below_named")):
        spark.sql(f"DROP {kind} {name}")


def test_files_of_no_known_kind_may_be_the_data(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / "part-00000").write_text("id,text\na,one\n" * 9)
    with pytest.raises(InputError, match=r"of text \(12 bytes\) and of no known kind \(126 bytes"):
        open_pool(spark, InputConfig(table=str(tmp_path), content="value"))


def test_a_local_name_that_is_not_utf8_is_told(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    with open(os.fsencode(str(tmp_path)) + b"/caf\xe9.txt", "w") as file:
        file.write("two")
    with pytest.raises(InputError, match=r"caf\\xe9.txt' is not UTF-8; rename it"):
        open_pool(spark, InputConfig(table=str(tmp_path), content="value"))


def test_types_of_csv_may_be_inferred_and_broken_records_are_still_found(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "pool.csv").write_text("id,text\n1,one\n2,two,three\n")
    config = InputConfig(
        table=str(tmp_path / "pool.csv"), content="text", options={"inferSchema": "true"}
    )
    rows = pool_columns(open_pool(spark, config), config, "content").collect()
    assert {row.id: (row.value, row.malformed) for row in rows} == {
        1: ("one", None),
        2: (None, "2,two,three"),
    }
