"""CSV and JSON at the door: every value comes in as it is written, or an error says why not."""

import csv
import gzip
import json
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType

from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import open_pool
from jobs.reading import json_files


def texts_of(spark: SparkSession, path: Path, **config: Any) -> dict[Any, Any]:
    given = InputConfig(table=str(path), **({"content": "text"} | config))
    rows = pool_columns(open_pool(spark, given), given, "content").collect()
    return {row.id: row.value for row in rows}


def refused(spark: SparkSession, path: Path, **config: Any) -> str:
    with pytest.raises(InputError) as error:
        texts_of(spark, path, **config)
    return str(error.value)


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [3, 300_000])  # the larger is looked at by workers
def test_a_second_record_on_a_line_is_refused(
    spark: SparkSession, tmp_path: Path, n_rows: int
) -> None:
    lines = [f'{{"id":{i},"text":"text {i}, and what it takes to be long"}}' for i in range(n_rows)]
    lines[-1] += lines[0]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    said = refused(spark, tmp_path)
    assert f"a.jsonl: line {n_rows}: " in said
    assert "follows the record, and Spark would drop it" in said


@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_a_document_is_read_whole_whatever_its_name(
    spark: SparkSession, tmp_path: Path, ending: str
) -> None:
    rows = [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}]
    (tmp_path / f"a.{ending}").write_text(json.dumps(rows, indent=1))
    assert texts_of(spark, tmp_path) == {"a": "one", "b": "two"}
    (tmp_path / f"a.{ending}").write_text("".join(json.dumps(row, indent=1) for row in rows))
    assert "a document ends at line 4 and " in refused(spark, tmp_path)
    told = refused(spark, tmp_path, options={"multiLine": "true"})
    assert "a document ends at line 4 and " in told


@pytest.mark.parametrize("second", ['{"id": 0.5, "text": "y"}', '{"id": 1e3, "text": "y"}'])
def test_ids_keep_all_digits_or_are_refused(
    spark: SparkSession, tmp_path: Path, second: str
) -> None:
    big = {"id": 2**53 + 1, "text": "x"}
    (tmp_path / "a.jsonl").write_text(json.dumps(big))
    assert texts_of(spark, tmp_path) == {2**53 + 1: "x"}
    (tmp_path / "b.jsonl").write_text(second)
    for id_ in ("cast(id as string)", "text"):
        said = refused(spark, tmp_path, id=id_, metadata=["id"])
        assert "the column 'id' holds 9007199254740993 and numbers" in said
    assert len(texts_of(spark, tmp_path, id="text")) == 2  # nobody asks for it
    (tmp_path / "a.jsonl").write_text(json.dumps(big | {"id": 10**20}))  # which a float holds
    assert len(texts_of(spark, tmp_path, id="text", metadata=["id"])) == 2


NUMBERS = {  # where other rows have fractions -> as it comes in, or None: it would lose digits
    "1": "1.0", "1.0": "1.0", "1e3": "1000.0", "9007199254740992": "9.007199254740992E15",
    "12345678901234568.000": "1.2345678901234568E16", "0.30000000000000004": "0.30000000000000004",
    "9007199254740993": None, "12345678901234567.89": None, "-9007199254740993.0": None,
    "1e400": None, "-1e400": None, "1" * 39: None,
}  # fmt: skip


def test_numbers_beside_fractions_keep_their_value_or_are_told(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = spark.createDataFrame([(number,) for number in NUMBERS], "text string")
    told = rows.select("text", json_files._loses(F.col("text"), DoubleType()).alias("is_lost"))
    assert {row.text: row.is_lost for row in told.collect()} == {
        number: comes_in is None for number, comes_in in NUMBERS.items()
    }
    held = {number: comes_in for number, comes_in in NUMBERS.items() if comes_in is not None}
    lines = [f'{{"id": {i}, "text": {n}, "v": [{n}]}}' for i, n in enumerate([*held, 0.5])]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    given = InputConfig(table=str(tmp_path), content="cast(text as string)", metadata=["v"])
    found = pool_columns(open_pool(spark, given), given, "content").collect()
    assert [row.value for row in found] == [*held.values(), "0.5"]
    assert [row.metadata["v"] for row in found] == [f"[{x}]" for x in (*held.values(), "0.5")]


@pytest.mark.parametrize("number", ["[[1], [9007199254740993]]", '[{"n": 9007199254740993}]'])
def test_numbers_inside_lists_keep_all_digits_too(
    spark: SparkSession, tmp_path: Path, number: str
) -> None:
    other = number.replace("9007199254740993", "0.5")
    lines = [f'{{"id": {i}, "text": "x", "n": {n}}}' for i, n in enumerate((number, other))]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert "the column 'n' holds [" in refused(spark, tmp_path, metadata=["n"])


def test_whole_numbers_of_any_length_come_in_as_they_are(
    spark: SparkSession, tmp_path: Path
) -> None:
    vectors = ["[1, 2, 3]", f"[{2**53 + 1}, 2, 3]", f"[{2**63}, -1, 0]"]
    lines = (
        f'{{"id": {2**63 + i}, "n": {2**53 + 1 + i}, "v": {v}, "text": {10**37 + i}}}'
        for i, v in enumerate(vectors)
    )
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + '\n{"id": 1, "text": "1.0"}')
    config: dict[str, Any] = {"id": "cast(id as string)", "metadata": ["n", "v"]}
    given = InputConfig(table=str(tmp_path), content="text", **config)
    rows = pool_columns(open_pool(spark, given), given, "content").collect()
    assert [(row.id, row.value, row.metadata) for row in rows] == [
        *((str(2**63 + i), str(10**37 + i), {"n": str(2**53 + 1 + i), "v": v})
          for i, v in enumerate(vectors)),
        ("1", "1.0", {"n": None, "v": None}),
    ]  # fmt: skip
    assert "input.id='id' is decimal(20,0); want string, int" in refused(spark, tmp_path)


def test_numbers_inside_records_keep_all_digits_too(spark: SparkSession, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "x", "of": {"no": 2**60 + 1}},
        {"id": "b", "text": "x", "of": {"no": 0.5}},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = refused(spark, tmp_path, metadata=["of.no"])
    assert f"the column 'of.no' holds {2**60 + 1} and numbers" in said


# --- CSV ------------------------------------------------------------------------------------------


def test_text_after_a_closing_quote_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_text('id,text\n1,"a b\n2,"c" d\n3,"e"\n')
    assert "pool.csv: the quoted field that begins at line 2 is closed at line 3" in refused(
        spark, path
    )
    path.write_text('id,text\n1,"c" d\n')
    assert texts_of(spark, path, options={"unescapedQuoteHandling": "STOP_AT_DELIMITER"}) == {
        "1": '"c" d'
    }


SEVERAL = b'id||text\na||"x||y"\nb||"said ""no"""\nc||5" of | pipe\n||z\n'
ODD = b'id,text\r\n#a,x"y"z"\r\nb, "e"\r\nc,\'i\'\r\nd,x\0y\r\n\0e,\0\r\n'


@pytest.mark.parametrize(
    ("content", "sep", "multi_line"),
    [(SEVERAL, "||", "true"), (SEVERAL, "||", "False"), (ODD, ",", "true"), (ODD, ",", "False")],
    ids=count(),
)
def test_separators_quotes_and_zeros_come_in_as_they_are_written(
    spark: SparkSession, tmp_path: Path, content: bytes, sep: str, multi_line: str
) -> None:
    (tmp_path / "pool.csv").write_bytes(content)
    found = texts_of(spark, tmp_path / "pool.csv", options={"sep": sep, "multiLine": multi_line})
    assert (
        found
        == {
            SEVERAL: {"a": "x||y", "b": 'said "no"', "c": '5" of | pipe', None: "z"},
            ODD: {"#a": 'x"y"z"', "b": ' "e"', "c": "'i'", "d": "x\0y", "\0e": "\0"},
        }[content]
    )


def test_a_tab_may_be_written_as_spark_takes_it(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_bytes(b'id\ttext\na\t"x\ty"\nb\tz"z" z\n')
    assert texts_of(spark, path, options={"sep": "\\t"}) == {"a": "x\ty", "b": 'z"z" z'}
    path.write_bytes(b'id\ttext\na\t"x\n')
    assert "the quoted field that begins at line 2 is never" in refused(
        spark, path, options={"sep": "\\t"}
    )


def test_files_read_by_lines_are_looked_into_as_well(spark: SparkSession, tmp_path: Path) -> None:
    lines: dict[str, Any] = {"options": {"multiLine": "false"}}
    (tmp_path / "a.tsv").write_bytes(b"id\ttext\na\tone\nb\ttwo\r\n")
    assert texts_of(spark, tmp_path, **lines) == {"a": "one", "b": "two"}
    (tmp_path / "b.tsv").write_bytes(b"c\tthree\n")  # a header in the first file alone
    said = refused(spark, tmp_path, **lines)
    assert 'a.tsv is ["id", "text"], that of' in said and 'b.tsv is ["c", "three"]; want' in said
    (tmp_path / "b.tsv").write_bytes(b'id\ttext\nc\t"th\nree"\n')
    assert "b.tsv: the quoted field that begins at line 2 goes over several lines, and with " in (
        refused(spark, tmp_path, **lines)
    )


def test_a_line_that_ends_otherwise_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    for content in (b"id,text\na,one\r\nb,two\n", b"id,text\r\na,one\nb,two\r\n"):
        path.write_bytes(content)
        assert "pool.csv: line 2 ends otherwise than those before it" in refused(spark, path)
    path.write_bytes(b"id,text,x\na,one,\r\nb,two,\n")
    assert texts_of(spark, path, options={"lineSep": "\n"}) == {"a": "one", "b": "two"}  # as told


def test_breaks_inside_quotes_are_kept_or_refused_where_files_end_lines_in_two_ways(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,text\r\na,"o\r\nne"\r\n')
    (tmp_path / "b.csv").write_bytes(b'id,text\nb,"t\r\nwo"\n')
    said = refused(spark, tmp_path)
    assert "a.csv has \\r\\n at the ends of lines, inside quotes too (line 2), and " in said
    (tmp_path / "a.csv").write_bytes(b'id,text\r\na,"o\nne"\r\n')
    assert texts_of(spark, tmp_path) == {"a": "o\nne", "b": "t\r\nwo"}


def test_more_columns_than_spark_reads_by_itself(spark: SparkSession, tmp_path: Path) -> None:
    names = ["id", "text", *(f"x{i}" for i in range(20_500))]
    (tmp_path / "pool.csv").write_text(f"{','.join(names)}\na,one{',0' * 20_500}\n")
    assert texts_of(spark, tmp_path / "pool.csv") == {"a": "one"}


def test_a_folder_whose_name_looks_like_a_pattern(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "new [1]"
    folder.mkdir()
    (folder / "a.csv").write_text("id,Text,text\na,one,two\nb,three\n")
    assert texts_of(spark, folder, content="text2") == {"a": "two", "b": None}
    (folder / "a.csv").unlink()
    (folder / "a.jsonl").write_text('{"id": "a", "text": "one"}\n')
    assert texts_of(spark, folder) == {"a": "one"}
    (folder / "a.jsonl").write_text('[{"id": "a",\n"text": "one"}]')
    assert "Spark cannot open a.jsonl by this name, for a colon or a sign of patterns" in refused(
        spark, folder
    )


# --- columns of a pool's own ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_column_named_as_sparks_own_is_a_column(
    spark: SparkSession, tmp_path: Path, kind: str
) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "_corrupt_record": ["one", "two"]})
    path = tmp_path / f"pool.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
        path.write_text(path.read_text() + '{"id": "c"\n')
    else:
        pq.write_table(pa.Table.from_pandas(frame), path)
    want: dict[Any, Any] = {"a": "one", "b": "two"} | ({None: None} if kind == "jsonl" else {})
    config = {"content": "_corrupt_record", "where": "_corrupt_record > 'a'"}
    assert texts_of(spark, path, **config) == want


def test_internal_names_are_suggested_to_nobody(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("id,text\na,one\n")
    for config in ({"where": "nothing > 1"}, {"content": "nothing"}, {"id": "nothing"}):
        said = refused(spark, tmp_path / "pool.csv", **config)
        assert "['id', 'text']" in said
        assert "malformed" not in said


@pytest.mark.parametrize(
    ("header", "column", "hint"),
    [
        ("id,Text", "text", "; write Text, which differs in case"),
        ("id;text", "text", "end in ';', set input.options.sep: ';'"),
        ("id\ttext", "text", "end in '\\t', set input.options.sep: '\\t'"),
    ],
)
def test_what_a_missing_column_may_be_is_said(
    spark: SparkSession, tmp_path: Path, header: str, column: str, hint: str
) -> None:
    (tmp_path / "pool.csv").write_text(f"{header}\n{header}\n")
    assert refused(spark, tmp_path / "pool.csv", content=column).endswith(hint)


def test_the_place_of_a_row_of_text_can_be_named(spark: SparkSession, tmp_path: Path) -> None:
    for name, text in {"a.csv": "text\none\ntwo\n", "b.jsonl": '{"text": "one"}\n{"te\n'}.items():
        (tmp_path / name).write_text(text)
        found = texts_of(
            spark, tmp_path / name, id="concat(_metadata.file_name, '#', text)", where="text > 'a'"
        )
        assert f"{name}#one" in found


def test_a_header_that_is_repeated_is_no_row(spark: SparkSession, tmp_path: Path) -> None:
    joined = "".join(f"id,te xt\n{id_},one\n" for id_ in "abc") + "id,id\n"
    (tmp_path / "pool.csv").write_text(joined)
    given = InputConfig(table=str(tmp_path / "pool.csv"), content="`te xt`", id="id")
    rows = pool_columns(open_pool(spark, given), given, "content").collect()
    found = sorted((row.id, row.malformed or "") for row in rows)
    assert found == [*((id_, "") for id_ in "abc"), ("id", ""), *[("id", "id,te xt")] * 2]
    # as pandas writes its index: a column without a name
    (tmp_path / "pool.csv").write_text(",id,text\n0,a,one\n,id,text\n0,b,two\n")
    assert texts_of(spark, tmp_path / "pool.csv", where="text IS NOT NULL").keys() >= {"a", "b"}
    given = InputConfig(table=str(tmp_path / "pool.csv"), content="text", id="id")
    rows = pool_columns(open_pool(spark, given), given, "content").collect()
    assert sorted((row.id, row.value) for row in rows if row.malformed is None) == [
        ("a", "one"), ("b", "two"),
    ]  # fmt: skip
    # a text that is its column's name is one, as none tells it from a header
    (tmp_path / "pool.csv").write_text("text\none\ntext\n")
    place = "concat(_metadata.file_name, text)"
    assert texts_of(spark, tmp_path / "pool.csv", id=place).keys() == {
        "pool.csvone", "pool.csvtext"
    }  # fmt: skip
    (tmp_path / "pool.csv").write_text("text,n\none,1\n")
    assert texts_of(spark, tmp_path / "pool.csv", id=place) == {"pool.csvone": "one"}


@pytest.mark.parametrize("name", ["pool.csv.GZ", "pool.JSONL.gz", "pool.jsonl.Bz2"])
def test_endings_that_spark_does_not_unpack_are_refused(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    text = "id,text\na,one\n" if "csv" in name else '{"id": "a", "text": "one"}\n'
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    if name.endswith(".gz"):
        assert texts_of(spark, tmp_path) == {"a": "one"}
        return
    for config in ({}, {"format": "csv" if "csv" in name else "json"}):
        said = refused(spark, tmp_path, **config)
        assert f"{name}: Spark unpacks files whose names end in .gz, .bz2 or .zst" in said
