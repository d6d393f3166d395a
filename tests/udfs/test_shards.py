"""Shards that workers write: cut by number, and tars read back by the standard library."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from udfs.shards.numbered import make_write
from udfs.shards.tars import Members, ending_of, make_tar

JPG, PNG = b"\xff\xd8\xff jpg", b"\x89PNG\r\n\x1a\n png"


def batches_of(numbers: list[int], size: int) -> Iterator[pa.RecordBatch]:
    table = pa.table({"n": pa.array(numbers, pa.int64()), "row": [*range(len(numbers))]})
    return iter(table.to_batches(max_chunksize=size))


@given(
    st.lists(st.integers(0, 6), unique=True).flatmap(
        lambda kinds: st.tuples(*(st.integers(1, 9).map(lambda n, k=k: [k] * n) for k in kinds))
    ),
    st.integers(1, 12),
)
def test_each_shard_is_written_once_with_its_rows_in_order(
    runs: tuple[list[int], ...], size: int
) -> None:
    numbers, seen = [n for run in runs for n in run], {}

    def write(shard: int, batches: Iterator[pa.RecordBatch]) -> str:
        assert shard not in seen
        seen[shard] = [row for batch in batches for row in batch["row"].to_pylist()]
        return f"file {shard}"

    told = [b.to_pylist()[0] for b in make_write(write, "n")(batches_of(numbers, size))]
    assert seen == {run[0]: [i for i, n in enumerate(numbers) if n == run[0]] for run in runs}
    assert told == [
        {"shard": run[0], "n_rows": len(run), "written": f"file {run[0]}"} for run in runs
    ]


def written(folder: Path, rows: list[dict[str, Any]], **endings: str | None) -> tarfile.TarFile:
    write = make_tar(fs.LocalFileSystem(), str(folder), Members("position", endings))
    name = write(3, iter(pa.Table.from_pylist(rows).to_batches()))
    return tarfile.open(folder / name)


def test_a_rows_files_stand_together_in_a_tar(tmp_path: Path) -> None:
    rows = [
        {"position": 7, "id": "a", "image": JPG, "text": "näïve", "v": [0.5]},
        {"position": 42, "id": "b", "image": None, "text": None, "v": None},
    ]
    tar = written(tmp_path, rows, image=None, text="txt")
    names = ["0000000007.jpg", "0000000007.txt", "0000000007.json", "0000000042.json"]
    assert tar.getnames() == names
    contents = [file.read() for name in names if (file := tar.extractfile(name))]
    assert contents[:2] == [JPG, "näïve".encode()]
    assert [json.loads(content) for content in contents[2:]] == [
        {"position": 7, "id": "a", "v": [0.5]},
        {"position": 42, "id": "b", "v": None},
    ]


def test_columns_that_could_have_one_ending_keep_their_names(tmp_path: Path) -> None:
    row = {"position": 0, "left": JPG, "right side": PNG, "text": "x"}
    endings = {"left": None, "right side": None, "text": "txt"}
    assert [name for name, _ in Members("position", endings).of(row)] == [
        "0000000000.left.jpg", "0000000000.right_side.png", "0000000000.txt", "0000000000.json"
    ]  # fmt: skip
    known = {"left": "jpg", "right side": "png", "text": "txt"}
    assert [name for name, _ in Members("position", known).of(row)] == [
        f"0000000000.{ending}" for ending in ("jpg", "png", "txt", "json")
    ]
    alike = {"position": 0, "img.1": JPG, "img 1": JPG}
    assert [name for name, _ in Members("position", {"img.1": None, "img 1": None}).of(alike)] == [
        "0000000000.img_1_0.jpg", "0000000000.img_1_1.jpg", "0000000000.json"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        (JPG, "jpg"),
        (PNG, "png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"\0\0\0\x20ftypavif", "avif"),
        (b"\0\0\0\x20ftypisom", "mp4"),
        (b"", "bin"),
        (b"anything", "bin"),
    ],
)
def test_an_ending_follows_from_what_bytes_begin_with(content: bytes, ending: str) -> None:
    assert ending_of(content) == ending


def test_what_json_lacks_is_told_as_text(tmp_path: Path) -> None:
    from datetime import UTC, datetime
    from decimal import Decimal

    row = {"position": 0, "at": datetime(2024, 1, 2, tzinfo=UTC), "n": Decimal("1.50"), "b": [b"x"]}
    ((_, content),) = Members("position", {}).of(row)
    told = {"position": 0, "at": "2024-01-02T00:00:00+00:00", "n": "1.50", "b": ["eA=="]}
    assert json.loads(content) == told
