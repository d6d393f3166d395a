"""Nothing comes in silently wrong: files, quotes, bytes, doubled ids, settings of the session."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs import embed_pool
from jobs.config.errors import InputError
from jobs.config.loading import parse_config
from jobs.config.model import InputConfig
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import open_pool
from jobs.reading.files import escaped, fingerprint_of, listed
from jobs.reading.local_listing import local_files
from jobs.reading.settings import session_ways, settings_pinned
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from tests.jobs.forms import FORMS, IDS, TEXTS, png

# --- CSV ------------------------------------------------------------------------------------------


def texts_of(spark: SparkSession, path: Path, **config: str) -> dict[str, str]:
    given = InputConfig(table=str(path), content="text", **config)
    rows = pool_columns(open_pool(spark, given), given, "content").collect()
    return {row.id: row.value for row in rows}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'id,text\na,one\nb,"two\nc,three\n', 3),
        (b'id,text\n"a,one\nb,two\n', 2),
        (b'id,text\na,"two\nlines"\nb,"she said ""no""\nc,x\n', 4),
    ],
)
def test_a_quote_that_is_never_closed_is_refused_with_its_line(
    spark: SparkSession, tmp_path: Path, content: bytes, line: int
) -> None:
    (tmp_path / "pool.csv").write_bytes(content)
    with pytest.raises(InputError) as refused:
        open_pool(spark, InputConfig(table=f"{tmp_path}/pool.csv"))
    assert f"pool.csv: the quoted field that begins at line {line} is never closed" in str(
        refused.value
    )


def test_a_quote_inside_a_plain_field_is_text(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text('id,text\na,5" of pipe\nb,two\n')
    assert texts_of(spark, tmp_path / "pool.csv") == {"a": '5" of pipe', "b": "two"}


def test_line_breaks_inside_quotes_stay_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    for name, end in {"windows": b"\r\n", "unix": b"\n"}.items():
        (tmp_path / f"{name}.csv").write_bytes(
            end.join([b"id,text", b'a,"one\r\ntwo"', b'b,"x\ny"', b'"c",z', b""])
        )
        theirs = pd.read_csv(tmp_path / f"{name}.csv", lineterminator=None)
        got = texts_of(spark, tmp_path / f"{name}.csv")
        assert got == dict(zip(theirs["id"], theirs["text"], strict=True))
        assert got == {"a": "one\r\ntwo", "b": "x\ny", "c": "z"}


def test_files_of_both_line_ends_come_in_together(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,text\r\na,one\r\n")
    (tmp_path / "b.csv").write_bytes(b"id,text\nb,two\n")
    assert texts_of(spark, tmp_path) == {"a": "one", "b": "two"}


# --- which files ----------------------------------------------------------------------------------


def test_files_that_are_not_read_are_named(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("a.png", "_x.png", ".y.png", "deep/_z/b.png", "deep/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(0))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "deep" / "above").symlink_to(tmp_path)  # would never end
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "_SUCCESS").write_bytes(b"")  # a marker, and no data
    files = open_pool(spark, InputConfig(table=str(tmp_path))).files
    assert files is not None
    assert files.names == ["a.png", "deep/c.png"]
    assert files.passed_over == (
        "1 of other kinds (README.md); 5 hidden or empty (.y.png, _x.png, broken.png and 2 more)"
    )


def test_the_kind_that_holds_less_is_not_taken_for_the_data(
    spark: SparkSession, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "index.parquet")
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "one"}\n' * 1000)
    with pytest.raises(InputError, match=r"holds files of parquet .* and of json .*input\.format"):
        open_pool(spark, InputConfig(table=str(tmp_path)))
    rows = open_pool(spark, InputConfig(table=str(tmp_path), format="json")).rows
    assert rows.count() == 1000


def test_signs_of_patterns_in_a_path_that_exists_are_its_name(
    spark: SparkSession, tmp_path: Path
) -> None:
    for name in ("x[1]", "y{a,b}", "z*"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"id": [name], "text": ["t"]}), tmp_path / name / "p.parquet")
    (tmp_path / "x1").mkdir()  # what the pattern would find
    pq.write_table(pa.table({"id": ["wrong"], "text": ["t"]}), tmp_path / "x1" / "p.parquet")
    for name in ("x[1]", "y{a,b}", "z*"):
        assert texts_of(spark, tmp_path / name) == {name: "t"}
    assert texts_of(spark, tmp_path / "x?") == {"wrong": "t"}  # a pattern


def test_a_folders_name_is_taken_as_it_is_written(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "50%20off #1?"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "a.png").write_bytes(png(0))
    (folder / "_b.png").write_bytes(png(1))
    pool = open_pool(spark, InputConfig(table=str(folder)))
    assert [row.id for row in pool.rows.select("id").collect()] == ["cat/a.png"]
    assert pool.files is not None
    assert pool.files.layout == "subfolders"
    assert pool.files.passed_over == "1 hidden or empty (_b.png)"


def test_images_are_read_by_whatever_name_they_have(spark: SparkSession, tmp_path: Path) -> None:
    contents = {
        name: png(i) for i, name in enumerate(("a:b.png", "x[1]/{c}.png", "x[1]/50%20.png"))
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    pool = open_pool(spark, InputConfig(table=str(tmp_path)))
    rows = pool.rows.select("id", "content", "length", "modificationTime").collect()
    assert {row.id: bytes(row.content) for row in rows} == contents
    for row in rows:
        found = (tmp_path / row.id).stat()
        assert row.length == found.st_size
        assert row.modificationTime.timestamp() == pytest.approx(found.st_mtime, abs=1e-3)


@pytest.mark.parametrize("form", ["parquet", "text files", "jsonl"])
def test_a_file_that_spark_cannot_open_by_its_name_is_refused(
    spark: SparkSession, tmp_path: Path, form: str
) -> None:
    FORMS[form].write(tmp_path)
    last = max(path for path in tmp_path.rglob("*") if path.is_file())
    last.rename(last.with_name(f"a:b{last.suffix}"))
    with pytest.raises(InputError, match=r"Spark cannot open .*a:b\.\w+ by this name, .*; rename"):
        open_pool(spark, InputConfig(table=str(tmp_path), **FORMS[form].config))


def test_columns_of_json_under_a_folder_like_a_pattern_are_not_guessed(
    spark: SparkSession, tmp_path: Path
) -> None:
    for name in ("x[1]", "x:y"):
        (tmp_path / name).mkdir()
        FORMS["json, an array over many lines"].write(tmp_path / name)
        with pytest.raises(
            InputError, match=r"Spark cannot open pool\.json by this name, .*; rename"
        ):
            open_pool(spark, InputConfig(table=f"{tmp_path}/{name}", content="text"))


@pytest.mark.parametrize("folder", ["a [1] {b,c}", "x:y"])
@pytest.mark.parametrize(
    "form",
    [
        "parquet",
        "parquet with UUIDs of pyarrow",
        "an Arrow file",
        "jsonl",
        "text files",
        "class folders",
        "folders that are partitions",
        "a webdataset shard",
        "several npy",
    ],
)
def test_a_folder_with_signs_in_its_name_holds_any_form(
    spark: SparkSession, tmp_path: Path, form: str, folder: str
) -> None:
    (tmp_path / folder).mkdir()
    want = FORMS[form].write(tmp_path / folder)
    for place in (tmp_path / folder, tmp_path):
        config = InputConfig(table=str(place), **FORMS[form].config)
        rows = pool_columns(open_pool(spark, config), config, FORMS[form].value)
        assert rows.where("value IS NOT NULL").count() == len(want)


# --- Parquet whose files differ -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "first", "second", "said"),
    [
        ("id", pa.array([1], pa.int32()), pa.array([2], pa.int64()), "is int32 in"),
        (
            "vector",
            pa.array([[1.0]], pa.list_(pa.float32())),
            pa.array([[1.0]], pa.list_(pa.float64())),
            "is list<element: float> in",
        ),
        ("text", pa.array([None], pa.null()), pa.array(["x"]), "is null in"),
    ],
)
def test_a_column_of_two_types_is_named_with_its_files(
    spark: SparkSession, tmp_path: Path, column: str, first: pa.Array, second: pa.Array, said: str
) -> None:
    pq.write_table(pa.table({column: first}), tmp_path / "a.parquet")
    pq.write_table(pa.table({column: second}), tmp_path / "b.parquet")
    with pytest.raises(InputError) as refused:
        open_pool(spark, InputConfig(table=str(tmp_path)))
    told = str(refused.value)
    assert f"column {column!r} {said}" in told
    assert "a.parquet and" in told
    assert told.endswith("want one type in all files: cast one of the two and write it again")


# --- files that a worker reads --------------------------------------------------------------------


def test_a_file_that_a_worker_cannot_read_is_named(spark: SparkSession, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2), "c16"))
    np.savez(tmp_path / "b.npz", X=np.zeros((3, 2)), X_test=np.zeros((2, 2)))
    (tmp_path / "c.tar.gz").write_bytes(b"no gzip")
    for name, said in {
        "a.npy": r"a\.npy holds embedding \(3, 2\) of complex128; want one or two dimensions of",
        "b.npz": r"b\.npz holds arrays of several lengths: X \(3, 2\) of float64, X_test \(2, 2\) ",
        "c.tar.gz": r"c\.tar\.gz cannot be read as a tar: .+; want a whole file: copy or write it",
    }.items():
        with pytest.raises(InputError, match=rf"input\.table='{tmp_path}/{name}': file:.*{said}"):
            open_pool(spark, InputConfig(table=f"{tmp_path}/{name}"))
    config = InputConfig(table=f"{tmp_path}/b.npz", embedding="X_test")
    assert open_pool(spark, config).rows.count() == 2


def test_a_file_that_breaks_while_it_is_read_is_named(spark: SparkSession, tmp_path: Path) -> None:
    table = pa.table({"id": IDS, "text": TEXTS, "at": pa.array(range(5), pa.timestamp("ns"))})
    pq.write_table(table, tmp_path / "p.parquet", compression=None)
    content = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(content[:4] + b"\xff" * 60 + content[64:])
    with pytest.raises(
        InputError, match=r"p\.parquet cannot be read as Parquet or Arrow: .+; want"
    ):
        run_of(tmp_path, spark, input={"table": f"{tmp_path}/p.parquet", "content": "text"})


def test_vectors_without_rows_are_an_empty_pool(spark: SparkSession, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((0, 4)))
    config = {"table": f"{tmp_path}/x.npy", "embedding": "embedding"}
    with pytest.raises(InputError, match="the pool is empty: no row is left"):
        run_of(tmp_path, spark, input=config, embed={})


@pytest.mark.parametrize("folder", ["", "label=a b/", "50% [x]/"])
def test_an_empty_file_beside_parquet_is_passed_over_by_name(
    spark: SparkSession, tmp_path: Path, folder: str
) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    table = pa.table({"id": IDS, "text": TEXTS})
    pq.write_table(table, tmp_path / folder / "a.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / folder / "b.parquet")
    (tmp_path / folder / "c.parquet").write_bytes(b"")
    pool = open_pool(spark, InputConfig(table=str(tmp_path)))
    assert pool.files is not None
    assert pool.files.passed_over == f"1 hidden or empty ({folder}c.parquet)"
    assert pool.rows.count() == 5
    if "=" in folder:
        assert {row.label for row in pool.rows.collect()} == {"a b"}


def test_a_parquet_file_that_is_cut_is_named(spark: SparkSession, tmp_path: Path) -> None:
    for name in "ab":
        pq.write_table(pa.table({"id": IDS}), tmp_path / f"{name}.parquet")
    content = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(content[:-20])
    for table in (tmp_path, tmp_path / "b.parquet"):
        with pytest.raises(InputError, match=r"cannot be read as parquet: .*b\.parquet"):
            open_pool(spark, InputConfig(table=str(table)))


def test_parquet_files_that_were_joined_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    parts = [pa.table({"id": IDS[:2], "text": TEXTS[:2]}), pa.table({"id": IDS, "text": TEXTS})]
    for name, part in zip("ab", parts, strict=True):
        pq.write_table(part, tmp_path / f"{name}.parquet")
    joined = b"".join((tmp_path / f"{name}.parquet").read_bytes() for name in "ab")
    (tmp_path / "b.parquet").write_bytes(joined)
    for table in (tmp_path, tmp_path / "b.parquet"):
        with pytest.raises(InputError, match=r"b\.parquet: another Parquet file begins at byte "):
            open_pool(spark, InputConfig(table=str(table)))


# --- ids and bytes --------------------------------------------------------------------------------


def run_of(folder: Path, spark: SparkSession, **config: object) -> Run:
    plain = {
        "output": {"root": f"{folder}/lake"},
        "embed": {"model": "lsa", "n_components": 4, "fit_rows": 100},
        "hygiene": {"max_reject_fraction": 0.5},
        "samples": [{"name": "s", "target_size": 5}],
    }
    run = open_run(spark, parse_config(plain | config))
    run.do(embed_pool.STAGE)
    return run


def rejects_of(run: Run) -> set[tuple[object, ...]]:
    return {(row.id, row.reason, row.detail) for row in run.lake.read("rejects").collect()}


def points_of(run: Run) -> set[object]:
    return {row.id for row in run.lake.read("embeddings").collect()}


def test_of_rows_with_one_id_and_one_content_one_stays(spark: SparkSession, tmp_path: Path) -> None:
    texts = [f"text {i % 7} about {i % 5}" for i in range(35)]
    again = [*texts, texts[3], texts[3], texts[8]]
    frame = pd.DataFrame({"text": again, "lang": [f"l{i:02}" for i in range(len(again))]})
    frame.to_parquet(tmp_path / "pool.parquet")
    run = run_of(
        tmp_path,
        spark,
        input={
            "table": f"{tmp_path}/pool.parquet",
            "id": "sha2(text, 256)",
            "content": "text",
            "metadata": ["lang"],
        },
        hygiene={"max_reject_fraction": 0},  # a copy is no bad row
    )
    assert len(points_of(run)) == 35
    rejects = sorted((reason, detail) for _, reason, detail in rejects_of(run))
    n = {
        row.detail: row["count"]
        for row in run.lake.read("rejects").groupBy("detail").count().collect()
    }
    assert {reason for reason, _ in rejects} == {"duplicate"}
    assert n == {
        "the id stands on 3 rows of the same content": 2,
        "the id stands on 2 rows of the same content": 1,
    }
    kept = {row.metadata["lang"] for row in run.lake.read("metadata").collect()}
    assert {"l03", "l08"} <= kept and not {"l35", "l36", "l37"} & kept


def test_rows_with_one_id_and_several_contents_are_all_turned_away(
    spark: SparkSession, tmp_path: Path
) -> None:
    texts = [f"text {i % 7} about {i % 5}" for i in range(35)]
    frame = pd.DataFrame({"id": [*range(35), 3, 3], "text": [*texts, texts[3], "another"]})
    frame.to_parquet(tmp_path / "pool.parquet")
    run = run_of(tmp_path, spark, input={"table": f"{tmp_path}/pool.parquet", "content": "text"})
    assert rejects_of(run) == {(3, "duplicate_id", "the id stands on 3 rows")}
    assert points_of(run) == {i for i in range(35) if i != 3}


def test_text_that_is_not_utf8_is_a_reject(spark: SparkSession, tmp_path: Path) -> None:
    texts = [f"text {i % 7} about {i % 5}".encode() for i in range(20)]
    ids = [f"t{i:02}".encode() for i in range(20)]
    texts[4], texts[5], ids[6] = b"caf\xe9 noir", "\ufffd ".encode() + b"\xff", b"bad\xfe"
    table = pa.table(
        {
            "id": pa.array(ids, pa.binary()).view(pa.string()),
            "text": pa.array(texts, pa.binary()).view(pa.string()),
        }
    )
    pq.write_table(table, tmp_path / "pool.parquet")
    run = run_of(tmp_path, spark, input={"table": f"{tmp_path}/pool.parquet", "content": "text"})
    assert rejects_of(run) == {
        ("t04", "undecodable", "the text is not UTF-8 at byte 3"),
        ("t05", "undecodable", "the text is not UTF-8 at byte 4"),
        ("bad\ufffd", "undecodable", "the id is not UTF-8 at byte 3"),
    }
    assert len(points_of(run)) == 17


def test_csv_with_bytes_that_are_not_utf8_loses_these_rows_alone(
    spark: SparkSession, tmp_path: Path
) -> None:
    lines = [f"t{i},caf\u00e9 {i % 7} about {i % 5}".encode() for i in range(20)]
    lines[3] = b"t3,caf\xe9"
    (tmp_path / "pool.csv").write_bytes(b"\n".join([b"id,text", *lines]))
    run = run_of(tmp_path, spark, input={"table": f"{tmp_path}/pool.csv", "content": "text"})
    assert rejects_of(run) == {("t3", "undecodable", "the text is not UTF-8 at byte 3")}
    assert len(points_of(run)) == 19
    assert texts_of(spark, tmp_path / "pool.csv")["t1"] == "caf\u00e9 1 about 1"


# --- what paths point at --------------------------------------------------------------------------


def images_run(spark: SparkSession, folder: Path, **config: object) -> Run:
    return run_of(
        folder,
        spark,
        input={"table": f"{folder}/list/pool.jsonl", "content": "file"} | config,
        embed={"model": "pixels", "image_size": 4, "n_components": 4},
    )


@pytest.fixture
def listed_images(tmp_path: Path) -> Path:
    (tmp_path / "list" / "images").mkdir(parents=True)
    for i in range(12):
        (tmp_path / "list" / "images" / f"a%41 {i}.png").write_bytes(png(i))
    rows = [f'{{"id": {i}, "file": "images/a%41 {i}.png"}}' for i in range(12)]
    (tmp_path / "list" / "pool.jsonl").write_text("\n".join(rows))
    return tmp_path


def test_images_that_are_overwritten_are_another_pool(
    spark: SparkSession, listed_images: Path
) -> None:
    before = images_run(spark, listed_images)
    assert len(points_of(before)) == 12  # relative to the list
    (listed_images / "list" / "images" / "a%41 3.png").write_bytes(png(99))
    after = images_run(spark, listed_images)
    assert after.pool.version == before.pool.version
    assert after.pool.fingerprint != before.pool.fingerprint
    assert after.key(embed_pool.STAGE) != before.key(embed_pool.STAGE)


def test_relative_paths_start_from_a_folder_that_is_named(
    spark: SparkSession, listed_images: Path
) -> None:
    (listed_images / "list" / "images").rename(listed_images / "images")
    rows = images_run(spark, listed_images, base=str(listed_images))
    assert len(points_of(rows)) == 12
    # a file: URI stands for a store, as far as Spark can tell
    there = rows.pool.pointed
    assert there is not None and there.folders == ()


# --- the session ----------------------------------------------------------------------------------


@contextmanager
def setting(spark: SparkSession, key: str, value: str) -> Iterator[None]:
    before = spark.conf.get(key)
    spark.conf.set(key, value)
    try:
        yield
    finally:
        spark.conf.set(key, before)


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("spark.sql.ansi.enabled", "false", "cast(n AS int) > 1"),
        ("spark.sql.caseSensitive", "true", "N > '1'"),
        ("spark.sql.session.timeZone", "Asia/Tokyo", "cast('2024-01-01' AS timestamp) > at"),
        ("spark.sql.parquet.binaryAsString", "true", "typeof(raw) = 'binary' AND id > 'a'"),
    ],
)
def test_settings_of_the_session_change_no_row(
    spark: SparkSession, tmp_path: Path, key: str, value: str, where: str
) -> None:
    at = pd.to_datetime(["2023-12-31 20:00Z", "2024-01-01 01:00Z", "2023-12-31 12:00Z"])
    frame = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "n": ["1", "2", "3"],
            "at": at.astype("datetime64[us, UTC]"),
            "raw": [b"x", b"y", b"z"],
        }
    )
    frame.to_parquet(tmp_path / "pool.parquet")
    config = InputConfig(table=f"{tmp_path}/pool.parquet", where=where)

    def read() -> tuple[str, list[str]]:
        pool = open_pool(spark, config)
        return pool.fingerprint, sorted(row.id for row in pool.rows.collect())

    plain = read()
    with setting(spark, key, value):
        assert read() == plain
        assert spark.conf.get(key) == value


def test_settings_that_cannot_be_pinned_are_part_of_the_fingerprint(
    spark: SparkSession, tmp_path: Path
) -> None:
    pd.DataFrame({"id": ["a"]}).to_parquet(tmp_path / "pool.parquet")
    config = InputConfig(table=f"{tmp_path}/pool.parquet")
    assert "+" not in open_pool(spark, config).fingerprint
    with setting(spark, "spark.sql.legacy.timeParserPolicy", "LEGACY"):
        assert open_pool(spark, config).fingerprint.endswith("+timeParserPolicy=LEGACY")


@pytest.mark.parametrize(
    ("key", "value", "way"),
    [
        ("spark.sql.parquet.datetimeRebaseModeInRead", "LEGACY", "datetimeRebaseModeInRead=LEGACY"),
        ("spark.sql.parquet.int96RebaseModeInRead", "LEGACY", "int96RebaseModeInRead=LEGACY"),
        ("spark.sql.legacy.timeParserPolicy", "EXCEPTION", "timeParserPolicy=EXCEPTION"),
        ("spark.sql.legacy.timeParserPolicy", "corrected", None),
    ],
)
def test_a_setting_that_shapes_rows_is_told_if_it_is_not_as_expected(
    spark: SparkSession, key: str, value: str, way: str | None
) -> None:
    with setting(spark, key, value), settings_pinned(spark):
        assert [*session_ways(spark)] == ([] if way is None else [way])


# --- views ----------------------------------------------------------------------------------------


def test_a_view_is_pinned_by_the_versions_of_its_tables(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = spark.createDataFrame([("a", "one"), ("b", "two")], "id string, text string")
    rows.write.format("delta").save(f"{tmp_path}/table")
    spark.read.format("delta").load(f"{tmp_path}/table").where("id < 'b'").createOrReplaceTempView(
        "narrow"
    )
    config = InputConfig(table="narrow", content="text")
    before = open_pool(spark, config)
    assert [row.id for row in before.rows.collect()] == ["a"]
    assert open_pool(spark, config).fingerprint == before.fingerprint
    spark.sql(f"UPDATE delta.`{tmp_path}/table` SET text = 'other' WHERE id = 'a'")
    assert open_pool(spark, config).fingerprint != before.fingerprint
    spark.catalog.dropTempView("narrow")


def test_python_lists_local_files_as_spark_does(spark: SparkSession, tmp_path: Path) -> None:
    names = [
        "a.png", "a b+c%41.png", "猫.png", "_x.png", ".y.png", "_k=v.png", "z._COPYING_",
        "_metadata", "deep/er/b.png", "_hidden/c.png", "_k=1/d.png", "x[1]{2}/e*.png",
    ]  # fmt: skip
    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(i))
    (tmp_path / "link").symlink_to(tmp_path / "deep")
    for path in (str(tmp_path), f"file://{tmp_path}/deep", f"{tmp_path}/a b+c%41.png"):
        mine = local_files(spark, [path])
        theirs = listed(spark, [escaped(path)], {"pathGlobFilter": "*"})  # an option: Spark lists
        assert mine is not None
        assert fingerprint_of(mine) == fingerprint_of(theirs)
        assert {file.path for file in mine} == {file.path for file in theirs}
    assert local_files(spark, [f"{tmp_path}/*.png"]) is None
    assert local_files(spark, [f"{tmp_path}/nowhere"]) is None


def test_a_folder_that_cannot_be_listed_is_not_left_out(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/x.png", "b/y.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"1")
    scandir = os.scandir

    def refused(place: str) -> Any:
        if str(place).endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(InputError, match=f"{tmp_path}/b cannot be read: Permission denied"):
        local_files(spark, [str(tmp_path)])
