"""Faithful reading: what comes in is what the form's own library reads, from any session."""

import csv
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import embed_pool
from jobs.config.errors import InputError
from jobs.config.loading import parse_config
from jobs.config.model import EmbedConfig, InputConfig, RunConfig
from jobs.embedding.gating import gate_rows
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import open_pool
from jobs.runs.opening import open_run
from udfs.embedders.contract import Embedded, embed_decoded

ODD_TEXTS = [
    "plain",
    'she said "no"',
    "a, b; c",
    "two\nlines",
    '"quoted", and\n\n"more"\n',
    "back\\slash",
    'ends in a backslash\\"',
    "  spaces  ",
    "tab\there",
    "#no comment",
    "naïve 猫 🐈",
    '"',
    "''",
]


@pytest.fixture
def elsewhere(spark: SparkSession) -> Iterator[None]:
    """Put the session's clock into another zone."""
    zone = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "Pacific/Auckland")
    yield
    spark.conf.set("spark.sql.session.timeZone", zone)


def columns_of(spark: SparkSession, config: InputConfig) -> DataFrame:
    return pool_columns(open_pool(spark, config), config, "content")


def contents(spark: SparkSession, config: InputConfig) -> dict[str, str | None]:
    rows = columns_of(spark, config).collect()
    found = {row.id: row.value for row in rows}
    assert len(found) == len(rows)
    return found


def embed(values: pd.Series) -> Embedded:
    """Embed a text as its length."""
    return embed_decoded(
        values,
        lambda text: float(len(text)),
        lambda lengths: np.array([[n, 1.0] for n in lengths], np.float32),
        2,
    )


def gated(
    spark: SparkSession, config: InputConfig
) -> dict[str | None, tuple[str | None, str | None]]:
    """Return what the gate says of every id: reason and detail."""
    rows = gate_rows(columns_of(spark, config), lambda: embed, EmbedConfig())
    return {row.id: (row.reason, row.detail) for row in rows.collect()}


# --- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_is_read_as_pandas_reads_it(
    spark: SparkSession, tmp_path: Path, quoting: int, encoding: str
) -> None:
    path = tmp_path / "pool.csv"
    written = pd.DataFrame({"id": [f"t{i}" for i in range(len(ODD_TEXTS))], "text": ODD_TEXTS})
    written.to_csv(path, index=False, quoting=quoting, encoding=encoding)
    theirs = pd.read_csv(path, dtype=str, keep_default_na=False)
    mine = contents(spark, InputConfig(table=str(path), content="text"))
    assert mine == dict(zip(theirs["id"], theirs["text"], strict=True))
    assert [*mine.values()] == ODD_TEXTS


def test_lines_that_end_as_on_windows(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_bytes(b'id,text\r\na,one\r\nb,"two, three"\r\n')
    found = contents(spark, InputConfig(table=str(path), content="text"))
    assert found == {"a": "one", "b": "two, three"}


def test_the_readers_options_come_first(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_text("a;x, y\nb;z\n")
    options = {"sep": ";", "header": "false"}
    config = InputConfig(table=str(path), id="_c0", content="_c1", options=options)
    assert contents(spark, config) == {"a": "x, y", "b": "z"}


def test_a_record_with_another_number_of_fields_is_a_reject(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "pool.csv"
    path.write_text("id,text,lang\na,one,en\nshort,two\nlong,x,y,z\nb,three,de\na,again,e,n\n")
    config = InputConfig(table=str(path), content="text", where="lang IN ('en', 'de')")
    rows = columns_of(spark, config)
    # whatever `where` says
    assert [row.malformed is None for row in rows.collect()] == [True, False, False, True, False]
    found = gated(spark, config)
    assert found["short"] == ("malformed", "short,two")
    assert found["long"] == ("malformed", "long,x,y,z")
    assert found["b"] == (None, None)
    # a broken record makes no other one doubled
    embedded = gate_rows(rows, lambda: embed, EmbedConfig())
    reasons = embedded.where("id = 'a'").orderBy(F.col("reason").isNull()).collect()
    assert [row.reason for row in reasons] == ["malformed", None]


def test_files_whose_headers_differ_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\na,one\n")
    (tmp_path / "b.csv").write_text("text,id\ntwo,b\n")
    config = InputConfig(table=str(tmp_path), content="text")
    with pytest.raises(InputError, match=r'a\.csv is \["id", "text"\], that of .*b\.csv is \["tex'):
        contents(spark, config)


def test_a_column_without_a_name_is_read_as_any_other(spark: SparkSession, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["x", "y"], "text": ["one", "two, three"]})
    frame.to_csv(tmp_path / "pool.csv")  # with its index, as pandas writes it unless told
    config = InputConfig(table=f"{tmp_path}/pool.csv", content="text", metadata=["_c0"])
    assert contents(spark, config) == {"x": "one", "y": "two, three"}
    (tmp_path / "pool.csv").write_text("id,text,\na,one,\nb,two,\n")
    config = InputConfig(table=f"{tmp_path}/pool.csv", content="text")
    assert contents(spark, config) == {"a": "one", "b": "two"}


def test_a_pool_of_csv_is_another_input_than_it_was_when_it_was_read_by_lines(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "pool.csv").write_text("id,text\na,one\n")
    (tmp_path / "pool.jsonl").write_text('{"id": "a", "text": "one"}\n')
    tags = {
        kind: open_pool(spark, InputConfig(table=f"{tmp_path}/pool.{kind}")).fingerprint[16:]
        for kind in ("csv", "jsonl")
    }
    assert tags == {"csv": "+rfc4180", "jsonl": ""}


# --- JSON -----------------------------------------------------------------------------------------


def write_torn(folder: Path, form: str) -> None:
    """Write one text that is UTF-8 and one that is not."""
    contents = {"a": b"one", "b": b"caf\xe9"}
    if form == "txt":
        for name, content in contents.items():
            (folder / f"{name}.txt").write_bytes(content)
    elif form == "tar":
        with tarfile.open(folder / "x.tar", "w") as tar:
            for name, content in contents.items():
                info = tarfile.TarInfo(f"{name}.txt")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    else:
        lines = (b'{"id": "%s", "text": "%s"}' % (k.encode(), v) for k, v in contents.items())
        (folder / "x.jsonl").write_bytes(b"\n".join(lines))


@pytest.mark.parametrize(
    ("form", "column", "told"),
    [
        ("txt", "value", ("undecodable", "the text is not UTF-8 at byte 3")),
        ("tar", "txt", ("undecodable", "the text is not UTF-8 at byte 3")),
        ("jsonl", "text", ("malformed", '{"id": "b", "text": "caf\ufffd"}')),
    ],
)
def test_text_that_is_not_utf8_is_a_reject_in_any_form(
    spark: SparkSession, tmp_path: Path, form: str, column: str, told: tuple[str, str]
) -> None:
    write_torn(tmp_path, form)
    found = gated(spark, InputConfig(table=str(tmp_path), content=column))
    assert {*found.values()} == {(None, None), told}


def test_a_line_that_is_no_json_is_a_reject_with_its_text(
    spark: SparkSession, tmp_path: Path
) -> None:
    lines = [json.dumps({"id": f"t{i}", "text": f"text {i}"}) for i in range(3)]
    (tmp_path / "pool.jsonl").write_text("\n".join([lines[0], '{"id": "t9", "te', *lines[1:]]))
    config = InputConfig(table=f"{tmp_path}/pool.jsonl", content="text", where="id < 't2'")
    found = gated(spark, config)
    assert found.pop(None) == ("malformed", '{"id": "t9", "te')
    assert found == {"t0": (None, None), "t1": (None, None)}


# --- folders --------------------------------------------------------------------------------------


def write_images(folder: Path, names: list[str]) -> None:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), i).save(folder / name)


def test_files_in_subfolders_count(spark: SparkSession, tmp_path: Path) -> None:
    names = ["a.png", "cat/a.png", "cat/b.png", "dog/old/c.png"]
    write_images(tmp_path, names)
    config = InputConfig(table=str(tmp_path), id="path", content="content")
    found = contents(spark, config)
    assert {id_.partition(f"{tmp_path}/")[2] for id_ in found} == {*names}
    assert open_pool(spark, config).fingerprint.endswith("+subfolders")


def test_texts_and_tables_in_subfolders_count_too(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("x", "deep/er/y"):
        (tmp_path / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / f"{name}.txt").write_text(f"text {name}")
        (tmp_path / "rows" / name).parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame({"id": [name], "value": [f"text {name}"]})
        frame.to_parquet(tmp_path / "rows" / f"{name}.parquet")
    want = {"text x", "text deep/er/y"}
    texts = InputConfig(table=f"{tmp_path}/texts", id="_metadata.file_name", content="value")
    rows = InputConfig(table=f"{tmp_path}/rows", content="value")
    assert {*contents(spark, texts).values()} == {*contents(spark, rows).values()} == want


def test_values_of_partitions_stay_as_they_are_written(spark: SparkSession, tmp_path: Path) -> None:
    write_images(tmp_path, ["label=007/a.png", "label=7/b.png", "label=2024-01-02/c.png"])
    config = InputConfig(table=str(tmp_path), id="path", content="content", metadata=["label"])
    labels = {row.metadata["label"] for row in columns_of(spark, config).collect()}
    assert labels == {"007", "7", "2024-01-02"}
    key = "spark.sql.sources.partitionColumnTypeInference.enabled"
    assert spark.conf.get(key) == "true"  # as it was


def test_partitions_beside_other_files_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    write_images(tmp_path, ["label=1/a.png", "other/b.png"])
    with pytest.raises(InputError) as refused:
        open_pool(spark, InputConfig(table=str(tmp_path), content="content"))
    assert str(refused.value) == (
        f"input.table={str(tmp_path)!r} holds partitions ('label=1/a.png') and other files beside "
        "them ('other/b.png'); name the folder of one of the two"
    )


def test_a_file_and_a_pattern_are_read_as_they_stand(spark: SparkSession, tmp_path: Path) -> None:
    write_images(tmp_path, ["a=b.png", "sub/c.png", "k=1/d.png"])
    for path, want in {"a=b.png": {"a=b.png"}, "*/*.png": {"c.png", "d.png"}}.items():
        config = InputConfig(
            table=f"{tmp_path}/{path}", id="_metadata.file_name", content="content"
        )
        assert {*contents(spark, config)} == want


# --- the session's zone ---------------------------------------------------------------------------


def write_moments(spark: SparkSession, path: Path) -> None:
    moments = ["2024-01-01 11:30:00Z", "2024-01-01 23:30:00Z", "2024-01-02 00:30:00Z"]
    rows = [(f"m{i}", at, f"text {i}") for i, at in enumerate(moments)]
    frame = spark.createDataFrame(rows, "id string, at string, text string")
    frame.withColumn("at", F.to_timestamp("at")).write.parquet(str(path))


def described(spark: SparkSession, config: InputConfig) -> dict[str, str]:
    return {row.id: row.metadata["at"] for row in columns_of(spark, config).collect()}


def test_timestamps_are_in_utc_whatever_the_sessions_zone(
    spark: SparkSession, tmp_path: Path, elsewhere: None
) -> None:
    write_moments(spark, tmp_path / "pool")
    config = InputConfig(
        table=f"{tmp_path}/pool", content="text", where="at < '2024-01-02'", metadata=["at"]
    )
    want = {"m0": "2024-01-01 11:30:00", "m1": "2024-01-01 23:30:00"}
    assert described(spark, config) == want
    assert spark.conf.get("spark.sql.session.timeZone") == "Pacific/Auckland"  # as it was
    assert open_pool(spark, config).fingerprint.endswith("+utc")
    by_time = config.model_copy(update={"where": None, "id": "concat('at ', at)"})
    assert "at 2024-01-02 00:30:00" in contents(spark, by_time)
    nobody_asks = InputConfig(table=f"{tmp_path}/pool", content="text")
    assert len(open_pool(spark, nobody_asks).fingerprint) == 16


# --- binary vectors -------------------------------------------------------------------------------


def write_vectors(path: Path, dtype: str) -> np.ndarray:
    X = np.random.default_rng(0).standard_normal((30, 8))
    rows = {"id": [f"v{i:02}" for i in range(30)], "vector": [x.astype(dtype).tobytes() for x in X]}
    pd.DataFrame(rows).to_parquet(path)
    return X


def run_config(folder: Path, *overrides: str) -> RunConfig:
    plain = {
        "input": {"table": f"{folder}/pool.parquet", "embedding": "vector"},
        "output": {"root": f"{folder}/lake"},
        "embed": {"normalize": False},
        "samples": [{"name": "s", "target_size": 5}],
    }
    return parse_config(plain, overrides)


@pytest.mark.parametrize(
    ("dtype", "like"),
    [("<f8", "they look like float64"), (">f4", "they look like float32_be"), ("i1", "nor like")],
)
def test_bytes_that_are_no_float32_are_refused_until_they_are_declared(
    spark: SparkSession, tmp_path: Path, dtype: str, like: str
) -> None:
    write_vectors(tmp_path / "pool.parquet", dtype)
    with pytest.raises(InputError) as refused:
        embed_pool.run(spark, run_config(tmp_path))
    said = str(refused.value)
    assert said.startswith(
        "input.embedding='vector' is binary, and its bytes do not look like float32, "
        f"little-endian; {like}"
    )
    assert "set input.embedding_type to what they are, float32, float64, " in said


def test_declared_bytes_are_read_as_what_they_are(spark: SparkSession, tmp_path: Path) -> None:
    X = write_vectors(tmp_path / "pool.parquet", "<f8")
    run = open_run(spark, run_config(tmp_path, "input.embedding_type=float64"))
    assert run.do(embed_pool.STAGE).n_features == 8
    stored = run.read(embed_pool.STAGE, embed_pool.EMBEDDINGS).orderBy("id").collect()
    np.testing.assert_array_equal(np.array([row.embedding for row in stored]), np.float32(X))
