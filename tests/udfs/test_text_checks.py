"""What is wrong with a text file, and nothing else, is found before Spark reads it."""

import csv
import gzip
import io
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.readers.csv_checks import Dialect, look_csv, safe_header
from udfs.readers.json_checks import look_json
from udfs.readers.sources import Source
from udfs.readers.text_checks import Looks


def json_looks(content: bytes, *, is_document: bool | None = None) -> Looks:
    return look_json(Source("file:/x.jsonl", content), is_document=is_document)


def csv_looks(content: bytes, **dialect: Any) -> Looks:
    return look_csv(Source("file:/x.csv", content), dialect=Dialect(**dialect))


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b'{"id":1}\n{"id":2}{"id":3}\n', "line 2: '{\"id\":3}' follows the record"),
        (b'{"id":1} {"id":2}', "line 1: '{\"id\":2}' follows the record"),
        (b'{"id":1},{"id":2}\n', "line 1: '{\"id\":2}' follows the record"),
        (b'{"id":1}\r\n\r\n{"id":2} junk\r\n', "line 3: 'junk' follows the record"),
        (b'{"a":{"b":1}},"c":2}\n', "line 1: '\"c\":2}' follows the record"),
        (b'[{"id":1}] [{"id":2}]\n', "line 1: '[{\"id\":2}]' follows the record"),
        (b"{'id':'}'} {'id':2}\n", "line 1: \"{'id':2}\" follows the record"),
        (b'{"id":1}\n[] {"id":2}\n', "line 2: '{\"id\":2}' follows the record"),
        (b'{"id":1}\n{"id":"\\ud800"}\n', r"line 2: \ud800 is half a character"),
        (b'{"id":"\\ude00\\ud83d"}\n', r"line 1: \ude00 is half a character"),
        (b'{\n"id":1}\n{\n"id":2}\n', 'a document ends at line 2 and \'{\\n"id":2}'),
        (b'{\n"id":"\\udfff"}\n', r"\udfff is half a character"),
        ('{"id":1}'.encode("utf-16"), "it is in UTF-16; want UTF-8"),
        (
            b'{"id":{"0":"a","1":"b"},"text":{"0":"x","1":"y"}}',
            "it holds columns ('id', 'text') of rows '0', '1', ..., as pandas writes it by "
            "default; want a record a line: df.to_json(path, orient='records', lines=True)",
        ),
        (b'{"id":{\n"0":"a"}}', "it holds columns ('id') of rows"),
        (b'[{"id":"caf\xe9"},\n{"id":2}]', "it is not UTF-8 at byte 11; write it again in UTF-8"),
    ],
)
def test_what_spark_would_drop_from_json_is_named(content: bytes, wrong: str) -> None:
    assert (json_looks(content).wrong or "").startswith(wrong)


@pytest.mark.parametrize(
    "content",
    [
        b'{"id":1}\n{"id":2}\n',
        b'{"id":1},\n{"id":2},\n',
        b'{"id":"a } b","t":{"u":[{"v":1},{"w":"}{"}]},"x":"\\"} y"} \t\n',
        b'[{"id":1},{"id":2}]\n',
        b'{"id":"\\ud83d\\ude00","b":"\\\\ud800"}\n',
        b"{'id':'} x'}\n{\"inf\":+INF,\"x\":{}}\n",
        b'{"id":1\n{"id":{"a":1, "v":[1]\nno JSON } at all\n',
        b'{"min":{"x":1,"y":2},"max":{"x":3,"y":4}}',
        b"\xef\xbb\xbf" + b'{"id":1}\n',
        b'{"id":1}\n\xef\xbb\xbf{"id":2}\n',  # Spark takes the mark for white space
        b'{"id":"caf\xe9"}\n{"id":2}\n',  # a reject
        b"\n\n",
        b"",
    ],
)
def test_lines_that_lose_nothing_pass(content: bytes) -> None:
    looks = json_looks(content)
    assert (looks.wrong, looks.is_document) == (None, False)


def test_a_document_over_many_lines_is_told_from_lines() -> None:
    assert json_looks(b'[\n{"id":1},\n{"id":2}\n]\n').is_document
    assert json_looks(b'\n[{"id":1},\n{"id":2}]').is_document
    told = json_looks(b'{"id":1}\n{"id":2}\n', is_document=True)  # as the config says
    assert (told.wrong or "").startswith('a document ends at line 1 and \'{"id":2}')
    lines = json_looks(b'{\n"id":1}\n', is_document=False)
    assert not lines.is_document


def test_lines_are_numbered_through_all_blocks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("udfs.readers.json_checks._BLOCK", 20)
    content = b'{"id":1}\n' * 50 + b'{"id":2} x'
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(content))
    looks = look_json(Source(f"file:{tmp_path}/x.jsonl.gz"), is_document=None)
    assert (looks.wrong or "").startswith("line 51: 'x' follows")
    whole = json.dumps([{"id": i} for i in range(50)], indent=1).encode()
    assert json_looks(whole).is_document


def test_what_is_too_large_for_a_document_is_looked_at_by_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("udfs.readers.json_checks._BLOCK", 20)
    monkeypatch.setattr("udfs.readers.json_checks._LARGEST", 100)
    assert not json_looks(json.dumps([{"id": i} for i in range(50)], indent=1).encode()).is_document
    broken = b'{"id":0\n' + b'{"id":1}\n' * 50 + b'{"id":2} x'
    assert (json_looks(broken).wrong or "").startswith("line 52: 'x' follows")
    assert json_looks(b'{"id":"' + b"x" * 1000).wrong is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab{}[]",:\\ é', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, min_size=1), min_size=2, max_size=4))
def test_what_json_writes_passes_and_two_records_a_line_do_not(rows: list[dict]) -> None:
    lines = [json.dumps(row) for row in rows]
    assert json_looks("\n".join(lines).encode()).wrong is None
    assert json_looks("\n".join([*lines, lines[0] + lines[1]]).encode()).wrong is not None


def test_a_record_that_looks_like_a_table_by_columns_is_one_if_it_is_not_alone() -> None:
    alone = b'{"a": {"0": null}}'
    assert "orient='records'" in str(json_looks(alone).wrong)
    for end in (b"\n", b"\r\n", b"\r"):
        assert json_looks(alone + end + b'{"a": null}').wrong is None


# --- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b'id,text\na,"one\n', "the quoted field that begins at line 2 is never closed"),
        (
            b'id,text\n1,"a b\n2,"c" d\n',
            "the quoted field that begins at line 2 is closed at line 3 and followed by 'c\" d'",
        ),
        (b'id,text\n1,"c" d\n', "the quoted field that begins at line 2 is closed at line 2 and"),
        (b"sep=;\nid;text\n1;a\n", "line 1 is 'sep=;', which Excel writes for itself; delete "),
        (b"# made today, at noon\nid,text,x\n1,a,b\n", "line 1 is a comment, '# made today, at"),
    ],
)
def test_quotes_and_starts_that_mislead_are_named(content: bytes, wrong: str) -> None:
    assert (csv_looks(content).wrong or "").startswith(wrong)


BY_LINES = {"is_by_lines": True}


@pytest.mark.parametrize(
    ("content", "dialect", "wrong"),
    [
        (b'"SEP=,"\r\nid,text\r\n1,a\r\n', {}, "line 1 is '\"SEP=,\"', which Excel"),
        (b"\xef\xbb\xbfsep=\t\nid\ttext\n", {}, "set input.options.sep: '\\t'"),
        ("sep=;\nid;text\n".encode("utf-16"), {}, "set input.options.sep: ';'"),
        (b"id,text\n1,a\n\xef\xbb\xbfid,text\n2,b\n", {}, "line 3 begins with a byte order mark"),
        (b'id,text\n1,"a"\n\xef\xbb\xbf"id","text"\n', {}, "line 3 begins with a byte order mark"),
        ("id,text\n1,a\n\ufeffid\n".encode("utf-16"), {}, "line 3 begins with a byte order mark"),
        ("id,text\n1,a\n".encode("utf-16-le"), {}, "set input.options.encoding: UTF-16LE"),
        ("id,text\n1,a\n".encode("utf-16-be"), {}, "set input.options.encoding: UTF-16BE"),
        (b'id||text\n1||"a||b\n', {"separator": "||"}, "that begins at line 2 is never closed"),
        (b'id||text\n1||"a"b\n', {"separator": "||"}, "closed at line 2 and followed by 'b'"),
        (b'id,text\n1,a\n2,"b\nc"\n', BY_LINES, "begins at line 3 goes over several lines"),
        (b'id,text\n1,"b\rc"\n', BY_LINES, "begins at line 2 goes over several lines"),
        (b'id,text\n1,"b\n', BY_LINES, "the quoted field that begins at line 2 is never closed"),
        ("id,text\n1,a\n".encode("utf-16"), BY_LINES, "it is in UTF-16, whose characters"),
        (b"", BY_LINES | {"encoding": "utf-16-le"}, "it is in UTF-16-LE, whose characters"),
    ],
    ids=count(),
)  # fmt: skip
def test_what_spark_would_take_for_rows_is_named(
    content: bytes, dialect: dict[str, Any], wrong: str
) -> None:
    assert wrong in (csv_looks(content, **dialect).wrong or "")


@pytest.mark.parametrize(
    ("content", "dialect", "header"),
    [
        (b'id||te|xt\n1||"a||b"\n2||5" of | pipe\n', {"separator": "||"}, ["id", "te|xt"]),
        (b'id::"te::xt"\n1::"a ""b"""::\n', {"separator": "::"}, ["id", "te::xt"]),
        ("id\ue000|text\n1\ue000|a\n".encode(), {"separator": "\ue000|"}, ["id", "text"]),
        (b'id,text\r\n1,"a, ""b"""\n2,c\r\n', BY_LINES, ["id", "text"]),
        ('id,text\n1,"a\n\ufeffb"\n2,\ufeff\n'.encode(), {}, ["id", "text"]),
        (b"id,te\0xt\n1,a\0b\n\0,c\n", {}, ["id", "te\0xt"]),
        (b"\0,b\n1,a\n", {}, ["\0", "b"]),
        ("id,text\n1,a\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, ["id", "text"]),
        (b"separator=;,text\n1,a\n", {}, ["separator=;", "text"]),
    ],
    ids=count(),
)  # fmt: skip
def test_what_only_looks_like_it_passes(
    content: bytes, dialect: dict[str, Any], header: list[str]
) -> None:
    looks = csv_looks(content, **dialect)
    assert (looks.wrong, json.loads(looks.header)) == (None, header)


def test_quotes_after_backslashes_are_recognised() -> None:
    content = b'id,text\n1,"a \\"b\\" c"\n2,"d\\\\"\n'
    assert "set input.options.escape: '\\'" in (csv_looks(content).wrong or "")
    assert csv_looks(content, escape="\\").wrong is None
    assert csv_looks(b'id,text\n1,"a ""b"" c"\n', escape="\\").wrong is not None


@pytest.mark.parametrize(
    "content",
    [
        b'id,text\na,5" of pipe\nb,"x ""y"""\n"c" ,"z" \n"d",""\n',
        b'id,text\na, "b\n',
        b"#id,text\n1,a\n",
        b"id\n",
        b"",
    ],
)
def test_csv_that_loses_nothing_passes(content: bytes) -> None:
    assert csv_looks(content).wrong is None


@pytest.mark.parametrize(
    ("content", "ends", "mixed", "crlf"),
    [
        (b'id,text\r\na,"x\r\ny\nz"\r\n', "crlf", None, 2),
        (b'id,text\na,"x\r\ny"\n', "lf", None, 2),
        (b"id,text\na,b\r\nc,d\n", "mixed", 2, None),
        (b'id,text\r\na,"x\ny"\r\nc,d\n"e",f\r\n', "mixed", 4, None),
        (b'id,text\r\na,"x"\n', "mixed", 2, None),
        (b"id,text", "", None, None),
    ],
)
def test_ends_of_lines_are_told_from_breaks_inside_quotes(
    content: bytes, ends: str, mixed: int | None, crlf: int | None
) -> None:
    found = csv_looks(content)
    assert (found.ends, found.mixed_line, found.crlf_line) == (ends, mixed, crlf)


FIELDS = st.text(alphabet='ab",;\n\r \\#é', max_size=6)


@given(
    st.lists(st.lists(FIELDS, min_size=2, max_size=2), max_size=5), st.sampled_from(["\n", "\r\n"])
)
def test_what_csv_writes_passes(rows: list[list[str]], end: str) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["id", "text"], *rows])
    found = csv_looks(buffer.getvalue().encode())
    assert found.wrong is None
    assert found.ends == {"\n": "lf", "\r\n": "crlf"}[end]


def test_doubled_and_empty_names_are_as_spark_has_them() -> None:
    # as Spark itself has read such a header
    names = ["Text", "text", "id", "", "id"]
    assert safe_header(names) == ["Text0", "text1", "id2", "_c3", "id4"]
