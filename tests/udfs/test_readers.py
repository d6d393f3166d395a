"""Files of arrays, tars and Arrow are read to their end, or refused by name."""

import gzip
import io
import json
import re
import tarfile
import uuid
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from udfs.readers import arrow_files, forms, numpy_files, parquet_checks, tar_files
from udfs.readers.forms import Form, columns_of
from udfs.readers.local import local_path
from udfs.readers.sources import Source, UnreadableError


@pytest.fixture(params=["local", "fetched"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a function that puts bytes where a reader finds them."""

    def put(name: str, content: bytes) -> Source:
        if request.param == "fetched":
            return Source(f"s3://bucket/{name}", content)
        (tmp_path / name).write_bytes(content)
        return Source(f"file:{tmp_path}/{name}")

    return put


# --- tars -----------------------------------------------------------------------------------------


def tar_of(*names: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 700  # two blocks, after a header of one
            tar.addfile(info, io.BytesIO(name.encode(errors="surrogateescape") * 700))
    return file.getvalue()


def keys_of(source: Source) -> list[str]:
    _, n_rows = tar_files.schema_of(source)
    keys = [key for rows in tar_files.batches_of(source) for key in rows["key"].to_pylist()]
    assert len(keys) == n_rows
    return keys


TWO, ONE = tar_of("a.txt", "b.txt"), tar_of("c.txt")
END = 2 * 3 * 512  # of the members of TWO


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (TWO, "ab"),
        (TWO + ONE, "abc"),
        (TWO[: END + 512] + ONE, "abc"),  # one block of zeros between
        (gzip.compress(TWO) + gzip.compress(ONE), "abc"),
        (gzip.compress(TWO + ONE), "abc"),
        (tar_of("BZh.txt", "\x1f\x8b.txt"), ["BZh", "\x1f\x8b"]),  # named as packed files begin
    ],
    ids=count(),
)
def test_a_tar_is_read_to_its_end(place: Any, content: bytes, keys: Sequence[str]) -> None:
    assert keys_of(place("x.tar", content)) == [*keys]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("n_bytes", [100, 512, 600, 3 * 512, 3 * 512 + 100, END - 1, END])
def test_a_tar_that_is_cut_anywhere_is_refused(place: Any, n_bytes: int, packed: bool) -> None:
    content = gzip.compress(TWO[:n_bytes]) if packed else TWO[:n_bytes]
    said = r"x\.tar cannot be read as a tar: .* after (its beginning|'[ab]\.txt' at byte [\d,]+);"
    with pytest.raises(UnreadableError, match=said):
        keys_of(place("x.tar", content))


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(TWO)[:-20],
        gzip.compress(TWO)[:40],
        gzip.compress(TWO) + b"junk",
        b"no gzip",
        TWO + b"junk",
        TWO + b"junk" * 512,
        TWO[:1536] + bytes(range(256)) * 2 + TWO[1536:],
        b"",
    ],
    ids=count(),
)
def test_a_tar_with_anything_else_in_it_is_refused(place: Any, content: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"x\.tar\.gz cannot be read as a tar: .+; want"):
        keys_of(place("x.tar.gz", content))


def test_members_without_an_ending_are_told(place: Any) -> None:
    names = ["LICENSE", "a.txt", "._a.txt", "d.x/b", "b.", "d.x/.c.txt", "./e.txt", "caf\udce9"]
    source = place("x.tar", tar_of(*names))
    schema, n_rows = tar_files.schema_of(source)
    told = json.loads((schema.metadata or {})[tar_files.PASSED_OVER])
    assert told == ["LICENSE", "._a.txt", "d.x/b", "b.", "d.x/.c.txt", "caf\udce9"]
    assert (n_rows, keys_of(source)) == (2, ["a", "e"])


# --- arrays ---------------------------------------------------------------------------------------

X = np.arange(20, dtype="f4").reshape(5, 4)


def npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_of_arrays_of_several_lengths_the_config_chooses(place: Any) -> None:
    source = place("x.npz", npz(X=X, y=np.arange(5), X_test=X[:2], y_test=np.arange(2)))
    with pytest.raises(UnreadableError) as refused:
        numpy_files.arrays_of(source)
    assert str(refused.value).endswith(
        "x.npz holds arrays of several lengths: X (5, 4) of float32, X_test (2, 4) of float32; "
        'want one: name those that belong together in input.options.arrays, such as "X, y"'
    )
    for wanted, named, columns in [
        (("X", "y"), (), ["X", "y"]),
        (("X_test",), (), ["X_test"]),
        ((), ("X",), ["X", "y"]),
        ((), ("X_test",), ["X_test", "y_test"]),
        ((), ("array(x0)", "X"), ["X", "y"]),
    ]:
        assert [*numpy_files.arrays_of(source, wanted, named).columns] == columns
    _, passed_over = numpy_files.arrays_of(source, (), ("X_test",))
    assert passed_over == "X (5, 4) of float32, y (5,) of int64"
    with pytest.raises(UnreadableError, match=r"several lengths: X \(5, 4\) .*, y_test \(2,\)"):
        numpy_files.arrays_of(source, ("X", "y_test"))


def test_arrays_that_are_no_columns_are_told(place: Any) -> None:
    odd = {"o": np.array([{}, 1], object), "z": np.zeros(5, "c16"), "t": np.zeros((5, 2, 2))}
    found = numpy_files.arrays_of(place("x.npz", npz(X=X, n=np.arange(3), **odd)))
    assert [*found.columns] == ["X"]
    assert found.passed_over == (
        "n (3,) of int64, o of Python objects, z (5,) of complex128, t (5, 2, 2) of float64"
    )


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(3, [("x", "f4")]), "value (3,) of [('x', '<f4')]; want one or two dimensions of"),
        (np.zeros((3, 2), "c16"), "embedding (3, 2) of complex128; want one or two dimensions of"),
        (np.zeros((3, 2), "longdouble"), f"(3, 2) of {np.dtype('longdouble')}; want one or two"),
        (np.zeros((3, 2), "V2"), "embedding (3, 2) of |V2; want one or two dimensions of float16"),
        (np.array([{}, 1], object), "value of Python objects; want one or two dimensions of"),
        (np.zeros((2, 2, 2)), "value (2, 2, 2) of float64; want one or two dimensions of float16"),
        (np.float64(1), "value () of float64; want one or two dimensions of float16"),
        (np.zeros((3, 0)), "embedding (3, 0) of float64: vectors without components; want at"),
    ],
)
def test_an_array_that_cannot_be_read_is_told(place: Any, array: Any, said: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        numpy_files.schema_of(place("x.npy", npy(array)))
    assert f"x.npy holds {said}" in str(refused.value) or said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.npy", npy(X)[:-3], "cannot be read as arrays of numpy: "),
        ("x.npy", npy(X)[:50], "cannot be read as arrays of numpy: "),
        ("x.npy", npy(X) + npy(X), "goes on behind its array, which ends at byte 208 of 416; want"),
        ("x.npz", npz(X=X)[:-30], "cannot be read as arrays of numpy: "),
        ("x.npz", npz(X=X)[:90], "cannot be read as arrays of numpy: "),
    ],
    ids=count(),  # contents hold the time
)
def test_arrays_are_read_to_the_files_end(place: Any, name: str, content: bytes, said: str) -> None:
    with pytest.raises(UnreadableError, match=f"{re.escape(name)} {said}"):
        numpy_files.schema_of(place(name, content))


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i2", "<f2", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_layout_are_read_row_by_row(place: Any, dtype: str, order: Any) -> None:
    given = np.asarray([[0, 1], [1, 0], [1, 1]], dtype=dtype, order=order)
    (batch,) = numpy_files.batches_of(place("x.npy", npy(given)))
    assert batch.to_pydict() == {"embedding": [[0, 1], [1, 0], [1, 1]]}


def test_no_rows_are_no_batches(place: Any) -> None:
    source = place("x.npy", npy(X[:0]))
    assert numpy_files.schema_of(source)[1] == 0
    assert [*numpy_files.batches_of(source)] == []


def test_arrays_of_several_files_have_the_same_vectors(place: Any) -> None:
    def columns(**arrays: NDArray[Any]) -> pa.Schema:
        sources = [place(f"{name}.npy", npy(array)) for name, array in arrays.items()]
        schemas = {source.path: numpy_files.schema_of(source)[0] for source in sources}
        return columns_of(Form("numpy", "", is_one=False), schemas)

    assert columns(a=X, b=X[:2]).field("embedding").type == pa.list_(pa.float32())
    for other, told in {
        "ids": (np.arange(5), "value without components"),
        "b": (X[:, :3], "embedding of 3 components"),
    }.items():
        with pytest.raises(UnreadableError) as refused:
            columns(**{"a": X, other: told[0]})
        assert re.search(
            rf"a\.npy holds embedding of 4 components, .*{other}\.npy holds {told[1]}; want the "
            "same vectors in every file",
            str(refused.value),
        )


# --- Arrow ----------------------------------------------------------------------------------------

TABLE = pa.table({"id": ["a", "b", "c"], "n": [1, 2, 3]})


def arrow(make: Any) -> bytes:
    file = io.BytesIO()
    with make(file, TABLE.schema) as writer:
        writer.write_table(TABLE)
        writer.write_table(TABLE)
    return file.getvalue()


def parquet(table: pa.Table = TABLE, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def n_rows(source: Source) -> int:
    arrow_files.schema_of(source)
    return sum(len(rows) for rows in arrow_files.batches_of(source))


@pytest.mark.parametrize("make", [pa.ipc.new_stream, pa.ipc.new_file])
def test_an_arrow_file_is_whole_or_refused(place: Any, make: Any) -> None:
    content = arrow(make)
    assert n_rows(place("x.arrow", content)) == 6
    for n_bytes in range(1, len(content)):
        with pytest.raises(UnreadableError, match=r"x\.arrow (cannot be read as|ends at byte)"):
            n_rows(place("x.arrow", content[:n_bytes]))
    with pytest.raises(UnreadableError, match=r"x\.arrow goes on behind its end at byte .* of"):
        n_rows(place("x.arrow", content + content))


def test_a_parquet_file_is_whole_or_refused(place: Any) -> None:
    content = parquet()
    assert n_rows(place("x.parquet", content)) == 3
    for cut in (content[:-1], content[:-20], content[:100], content[:4]):
        with pytest.raises(UnreadableError, match=r"x\.parquet cannot be read as Parquet or Arrow"):
            n_rows(place("x.parquet", cut))


@pytest.mark.parametrize("order", ["aab", "ab", "ba", "az", "za", "xb", "bx", "yx"])
def test_parquet_files_that_are_joined_are_told_from_one(place: Any, order: str) -> None:
    numbers = pa.table({"n": range(2000)})
    parts = {
        "a": parquet(),
        "b": parquet(numbers, row_group_size=300, write_page_index=True),
        "x": parquet(numbers, compression=None, use_dictionary=False, data_page_size=500),
        "y": parquet(pa.table({"s": [b"PAR1PAR1", b"\1\0\0\0PAR1PAR1"] * 9}), compression=None),
        "z": parquet(TABLE.slice(0, 0)),
    }
    for content in parts.values():
        assert parquet_checks.why_not_one(place("p.parquet", content)) is None
    wrong = parquet_checks.why_not_one(place("p.parquet", b"".join(map(parts.get, order))))
    first = len(parts[order[0]])
    assert wrong == (
        f"another Parquet file begins at byte {first:,}, as `cat` joins them; want one a file: "
        "copy it again, or write the parts into files of their own"
    )


def test_a_parquet_file_without_its_beginning_is_told(place: Any) -> None:
    for content in (parquet()[9:], b"junk" + parquet()):
        wrong = parquet_checks.why_not_one(place("p.parquet", content))
        assert (wrong or "").startswith("it does not begin as Parquet does, with PAR1; want one")
    for content in (parquet()[:-9], b"no Parquet", b"PAR1"):  # readers say so
        assert parquet_checks.why_not_one(place("p.parquet", content)) is None
    assert parquet_checks.why_not_one(Source("file:/nowhere/p.parquet")) is None


def test_nested_types_come_as_those_that_spark_knows(place: Any) -> None:
    table = pa.table(
        {
            "lists": pa.array([[[1.5], [None]]], pa.large_list(pa.large_list(pa.float16()))),
            "words": pa.array([["a", "b", "a"]], pa.list_(pa.string())).cast(
                pa.list_(pa.dictionary(pa.int8(), pa.string()))
            ),
            "pair": pa.array([{"n": 3}], pa.struct([("n", pa.uint64())])),
        }
    )
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    (batch,) = arrow_files.batches_of(place("x.arrow", file.getvalue()))
    assert batch.to_pylist() == [
        {"lists": [[1.5], [None]], "words": ["a", "b", "a"], "pair": {"n": 3}}
    ]
    assert batch.schema == pa.schema(
        {
            name: arrow_files.plain(kind)
            for name, kind in zip(table.schema.names, table.schema.types, strict=True)
        }
    )


def stream_of(table: pa.Table) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def test_wide_decimals_and_runs_are_read(place: Any) -> None:
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], ["x", "y"])
    wide, narrow = ([1, None, 10**12], pa.decimal256(50, 0)), ([1, 2, 3], pa.decimal256(20, 0))
    table = pa.table({"runs": runs, "wide": pa.array(*wide), "narrow": pa.array(*narrow)})
    source = place("x.arrow", stream_of(table))
    assert arrow_files.schema_of(source)[0].names == table.schema.names
    (batch,) = arrow_files.batches_of(source)
    assert batch.to_pydict() == {
        "runs": ["x", "x", "y"], "wide": ["1", None, str(10**12)], "narrow": [1, 2, 3],
    }  # fmt: skip


@pytest.mark.parametrize("make", [pa.list_view, pa.large_list_view])
def test_list_views_are_read(place: Any, make: Any) -> None:
    rows = [[[1.5], None], None, [[], [2.0, None]]]
    table = pa.table({"u": pa.array(rows, make(make(pa.float32())))})
    (batch,) = arrow_files.batches_of(place("x.arrow", stream_of(table)))
    batch.validate(full=True)
    assert batch.to_pydict() == {"u": rows}
    assert batch.schema.types == [pa.list_(pa.list_(pa.float32()))]


def test_uuids_inside_of_lists_stay_bytes(place: Any) -> None:
    one = uuid.UUID(int=1).bytes
    uuids = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array([one], pa.uuid()))
    source = place("x.arrow", stream_of(pa.table({"u": uuids})))
    assert [*arrow_files.batches_of(source)][0].to_pydict() == {"u": [[one]]}


def test_a_type_that_cannot_be_cast_is_told_before_any_row(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_files, "plain", lambda kind: pa.date32())
    with pytest.raises(UnreadableError, match=r"x\.arrow: column 'n' is int64, which cannot be"):
        arrow_files.schema_of(place("x.arrow", stream_of(TABLE.select(["n"]))))


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("label=007/x.tar", {"label": "007"}),
        ("a=1/B=2/x.tar", {"a": "1", "B": "2"}),
        ("a/label=x/b/y.tar", {"label": "x"}),
        ("label=a=b/x.tar", {"label": "a=b"}),
        ("label=50%25 a%2Fb+c/x.tar", {"label": "50% a/b+c"}),
        ("na%C3%AFve=%E7%8C%AB/x.tar", {"na\u00efve": "\u732b"}),
        ("label=/x.tar", {"label": ""}),
        ("label=__HIVE_DEFAULT_PARTITION__/x.tar", {"label": None}),
        ("=x/label=1.tar", {}),
    ],
)
def test_folders_that_are_partitions_are_columns(path: str, columns: dict[str, Any]) -> None:
    assert forms._partitions(path) == columns


def test_what_a_file_lacks_is_null_and_its_place_is_made() -> None:
    form = Form("parquet", "file:/pool/", is_one=False)
    schemas = {
        "file:/pool/label=a%20b/x.parquet": pa.schema([("id", pa.string()), ("n", pa.int64())]),
        "file:/pool/label=__HIVE_DEFAULT_PARTITION__/y.parquet": pa.schema([("n", pa.int64())]),
    }
    columns = columns_of(form, schemas)
    assert columns.names == ["id", "n", "_metadata", "label"]
    found = []
    for path, schema in schemas.items():
        rows = pa.table({"id": ["a", "b"], "n": [1, 2]}).select(schema.names)
        file = io.BytesIO()
        pq.write_table(rows, file)
        sources = pd.DataFrame({"path": [path], "content": [file.getvalue()]})
        batches = [pa.RecordBatch.from_pandas(sources.assign(start=0, stop=-1))]
        found += [row for batch in form.read(columns, iter(batches)) for row in batch.to_pylist()]
    assert [(row["id"], row["n"], row["label"], *row["_metadata"].values()) for row in found] == [
        ("a", 1, "a b", "x.parquet", 0),
        ("b", 2, "a b", "x.parquet", 1),
        (None, 1, None, "y.parquet", 0),
        (None, 2, None, "y.parquet", 1),
    ]


@pytest.mark.parametrize("name", ["plain", "a b", "a%20b", "a#b", "ä?b"])
def test_a_local_file_is_found_by_its_path_and_by_anybodys_uri(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("x")
    for place in (str(file), f"file:{file}", f"file://{file}", file.as_uri()):
        assert Path(local_path(place)).samefile(file), place
    assert local_path("file:/nowhere/a%20b") == "/nowhere/a b"
