"""Every form that people's pools have comes in row by row as its own library reads it."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import Row, SparkSession

from jobs.config.errors import InputChangedError, InputError
from jobs.config.model import InputConfig
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import Pool, open_pool, with_pointed
from jobs.pool.looks import look
from tests.jobs.forms import FORMS, TEXTS, png


def as_they_came(rows: list[Row]) -> dict[Any, tuple[Any, dict[str, str | None] | None]]:
    found = {}
    for row in rows:
        id_ = bytes(row.id) if isinstance(row.id, bytearray) else row.id
        value = bytes(row.value) if isinstance(row.value, bytearray) else row.value
        assert id_ not in found
        found[id_] = (value, row.metadata)
    return found


@pytest.mark.parametrize("name", FORMS)
def test_a_form_comes_in_as_its_own_library_reads_it(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    form = FORMS[name]
    want = form.write(tmp_path)
    config = InputConfig(table=f"{tmp_path}/{form.table}", **form.config)
    rows = pool_columns(open_pool(spark, config), config, form.value)
    got = as_they_came(rows.collect())
    assert got.keys() == want.keys()
    if form.value == "content":
        assert got == want
        return
    for id_, (vector, metadata) in want.items():
        np.testing.assert_array_equal(got[id_][0], vector)
        assert got[id_][1] == metadata


def test_ids_by_content_are_the_same_in_every_form(spark: SparkSession, tmp_path: Path) -> None:
    forms = ("csv of Windows", "csv in UTF-16, as Excel's Unicode text", "jsonl", "text files")
    for i, name in enumerate(forms):
        (tmp_path / str(i)).mkdir()
        FORMS[name].write(tmp_path / str(i))
        column = FORMS[name].config["content"]
        given = InputConfig(table=f"{tmp_path}/{i}", content=column, id=f"sha2({column}, 256)")
        rows = pool_columns(open_pool(spark, given), given, "content").collect()
        assert {row.id: row.value for row in rows} == {
            hashlib.sha256(text.encode()).hexdigest(): text for text in TEXTS
        }


def test_vectors_of_spark_ml(spark: SparkSession, tmp_path: Path) -> None:
    rows = [("a", Vectors.dense([1.0, 2.0, 0.0])), ("b", Vectors.sparse(3, [1], [5.0]))]
    spark.createDataFrame(rows, ["id", "v"]).write.parquet(f"{tmp_path}/pool")
    config = InputConfig(table=f"{tmp_path}/pool", embedding="v")
    got = pool_columns(open_pool(spark, config), config, "embedding").collect()
    assert {row.id: row.value for row in got} == {"a": [1, 2, 0], "b": [0, 5, 0]}


# --- what is said before a run --------------------------------------------------------------------


def looked_at(spark: SparkSession, config: InputConfig) -> list[str]:
    pool = open_pool(spark, config)
    pool = with_pointed(pool, pool_columns(pool, config, "content"), config)
    return look(pool, pool_columns(pool, config, "content"), config)


def test_ids_that_tell_nothing_apart_are_refused_before_a_run(
    spark: SparkSession, tmp_path: Path
) -> None:
    pd.DataFrame({"id": ["x"] * 3, "path": [*"abc"]}).to_parquet(tmp_path / "p.parquet")
    config = InputConfig(table=f"{tmp_path}/p.parquet", content="path")
    with pytest.raises(InputError, match=r"input.id='id' is 'x' on each of the first 3 rows"):
        looked_at(spark, config)


def test_paths_that_are_not_there_are_refused_before_a_run(
    spark: SparkSession, tmp_path: Path
) -> None:
    pd.DataFrame({"id": [*"aab"], "path": ["a.png", "b.png", None]}).to_parquet(
        tmp_path / "p.parquet"
    )
    config = InputConfig(table=f"{tmp_path}/p.parquet", content="path")
    with pytest.raises(InputError, match=r"none of the first 2 paths is a file here, such as "):
        looked_at(spark, config)
    (tmp_path / "b.png").write_bytes(b"here")
    (tmp_path / "README.md").write_text("about")
    config = config.model_copy(update={"table": str(tmp_path), "format": "parquet"})
    assert looked_at(spark, config) == [
        "input.id='id': 'a' is the id of 2 of the first 3 rows; of rows with one id and one "
        "content one stays, others are rejects",
        f"1 of the first 2 paths are no files, such as '{tmp_path}/a.png'",
        "files passed over: 2 of other kinds (README.md, b.png)",
    ]


# --- other file systems ---------------------------------------------------------------------------


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Mount a folder into a file system that Python does not see: Hadoop's viewfs."""
    (tmp_path / "store").mkdir()
    mounts = spark.sparkContext._jsc.hadoopConfiguration()  # type: ignore[union-attr]  # classic
    name = f"t{abs(hash(tmp_path))}"
    key = f"fs.viewfs.mounttable.{name}.link./pool"
    mounts.set(key, f"file://{tmp_path}/store")
    yield tmp_path / "store", f"viewfs://{name}/pool"
    mounts.unset(key)


def test_folders_tars_and_matrices_in_a_store(spark: SparkSession, store: tuple[Path, str]) -> None:
    folder, uri = store
    for name, form in {
        "images": "class folders",
        "tars": "webdataset shards",
        "numbers": "several npy",
        "ids": "parquet with UUIDs of pyarrow",
        "rows": "csv with a byte order mark",
    }.items():
        (folder / name).mkdir()
        want = FORMS[form].write(folder / name)
        config = InputConfig(table=f"{uri}/{name}", **FORMS[form].config)
        pool = open_pool(spark, config)
        rows = pool_columns(pool, config, FORMS[form].value).collect()
        assert as_they_came(rows) == want
        if name == "images":
            assert pool.files is not None
            assert pool.files.passed_over == (
                "2 of other kinds (README, label.json); (2 hidden or empty)"
            )


def test_paths_in_a_store_are_fetched_by_spark(
    spark: SparkSession, store: tuple[Path, str], tmp_path: Path
) -> None:
    folder, uri = store
    (folder / "deep").mkdir()
    for i in range(3):
        (folder / "deep" / f"{i}.png").write_bytes(png(i))
    paths = [f"{uri}/deep/0.png", "deep/1.png", f"{uri}/deep/nowhere.png"]
    pd.DataFrame({"id": [*"abc"], "path": paths}).to_parquet(tmp_path / "p.parquet")
    config = InputConfig(table=f"{tmp_path}/p.parquet", content="path", base=uri)

    def read() -> Pool:
        pool = open_pool(spark, config)
        return with_pointed(pool, pool_columns(pool, config, "content"), config)

    pool = read()
    rows = pool_columns(pool, config, "content").collect()
    want = {"a": (png(0), None), "b": (png(1), None), "c": (None, None)}
    assert as_they_came(rows) == want
    assert read().fingerprint == pool.fingerprint
    (folder / "deep" / "1.png").write_bytes(png(7))
    assert read().fingerprint != pool.fingerprint
    with pytest.raises(InputChangedError, match="files that its paths point at changed"):
        pool.require_unchanged()


def write_tar(path: Path, members: list[tuple[str, bytes]], link: str = "") -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.LNKTYPE, members[0][0]
            tar.addfile(info)


def test_members_that_are_not_read_are_named_with_the_files_that_are_not(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_tar(tmp_path / "x.tar", [("LICENSE", b"free"), ("a.txt", b"one"), ("._a.txt", b"mac")])
    write_tar(tmp_path / "y.tar", [("caf\udce9", b"old"), ("b.txt", b"two"), ("c", b"three")])
    (tmp_path / "README.md").write_text("about")
    pool = open_pool(spark, InputConfig(table=str(tmp_path), content="txt"))
    assert pool.rows.count() == 2
    assert pool.files is not None
    assert pool.files.passed_over == (
        "1 of other kinds (README.md); 4 members hidden or without an ending "
        "(x.tar/LICENSE, x.tar/._a.txt, y.tar/caf\ufffd and 1 more)"
    )


def test_a_tars_links_are_read_and_doubled_members_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_tar(tmp_path / "x.tar", [("a.txt", b"one")], link="b.txt")
    config = InputConfig(table=f"{tmp_path}/x.tar", content="txt")
    rows = pool_columns(open_pool(spark, config), config, "content").collect()
    assert as_they_came(rows) == {"a": ("one", None), "b": ("one", None)}
    write_tar(tmp_path / "y.tar", [("a.txt", b"one"), ("a.TXT", b"two")])
    with pytest.raises(InputError, match=r"y\.tar: the row 'a' has two members"):
        open_pool(spark, config.model_copy(update={"table": f"{tmp_path}/y.tar"}))
