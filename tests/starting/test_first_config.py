"""`evenlake init` names the columns that a pool has, and the pool's door reads them."""

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from pyspark.sql import SparkSession

from jobs.config.errors import ConfigError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.embedding.chosen import chosen
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import open_pool
from jobs.write_config import first_config
from tests.install.environments import write_texts

N_ROWS = 60
TEXTS = {"id": "id", "content": "text", "metadata": ["topic"]}


def config_of(pool: str | None, modality: Any = None) -> dict[str, Any]:
    text, _ = first_config(pool, modality, "evenlake.yaml")
    plain: dict[str, Any] = yaml.safe_load(text)
    parse_config(plain)
    return plain


def png(shade: int = 9) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), shade).save(buffer, format="PNG")
    return buffer.getvalue()


# --- tables: what is written, and that Spark reads it -------------------------------------------


def rows(folder: Path) -> list[dict[str, Any]]:
    write_texts(folder / "rows", N_ROWS)
    lines = (folder / "rows").read_text().splitlines()
    (folder / "rows").unlink()
    return [json.loads(line) for line in lines]


def json_array(folder: Path) -> Path:
    (folder / "p.json").write_text(json.dumps(rows(folder), indent=2))
    return folder / "p.json"


def json_lines(folder: Path) -> Path:
    write_texts(folder / "p.jsonl", N_ROWS)
    return folder / "p.jsonl"


def zipped_lines(folder: Path) -> Path:
    (folder / "p.jsonl.gz").write_bytes(gzip.compress(json_lines(folder).read_bytes()))
    (folder / "p.jsonl").unlink()
    return folder / "p.jsonl.gz"


def german_csv(folder: Path) -> Path:
    with (folder / "p.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text", "topic"], delimiter=";")
        writer.writeheader()
        writer.writerows(rows(folder))
    return folder / "p.csv"


def excel_text(folder: Path) -> Path:
    """Write what Excel calls Unicode text."""
    path = german_csv(folder)
    path.write_bytes(path.read_text().replace(";", "\t").encode("utf-16"))
    return path


def doubled_names(folder: Path) -> Path:
    path = german_csv(folder)
    path.write_text("ID;Id;Text;TEXT;\n" + "".join(
        f"{i};x;{row['text']};y;\n" for i, row in enumerate(rows(folder))
    ))  # fmt: skip
    return path


def partitions(folder: Path) -> Path:
    for topic in ("bread", "tax"):
        (folder / "p" / f"topic={topic}").mkdir(parents=True)
        mine = [row for row in rows(folder) if row["topic"] == topic]
        kept = [{"id": row["id"], "text": row["text"]} for row in mine]
        pq.write_table(pa.Table.from_pylist(kept), folder / "p" / f"topic={topic}" / "0.parquet")
    return folder / "p"


def without_id(folder: Path) -> Path:
    kept = [{"text": row["text"], "topic": row["topic"]} for row in rows(folder)]
    pq.write_table(pa.Table.from_pylist(kept), folder / "p.parquet")
    return folder / "p.parquet"


def odd_names(folder: Path) -> Path:
    """Write a table whose names say nothing: the types and the values have to."""
    table = pa.table(
        {
            "Artikel `Nr.`": [f"n-{i}" for i in range(N_ROWS)],
            "gut\n# lines: 2": [i % 2 == 0 for i in range(N_ROWS)],
            "beschreibung": [
                f"a longer text about {i % 47} and other things" for i in range(N_ROWS)
            ],
        }
    )
    pq.write_table(table, folder / "p.parquet")
    return folder / "p.parquet"


def vectors(folder: Path) -> Path:
    """Write a table with vectors beside texts: what is embedded already is not embedded again."""
    made = [row | {"vector": [float(row["id"]), 1.0, 2.0]} for row in rows(folder)]
    pq.write_table(pa.Table.from_pylist(made), folder / "p.parquet")
    return folder / "p.parquet"


def vectors_of_text(folder: Path) -> Path:
    made = [row | {"embedding": f"[{row['id']}, 1.0, 2.0]"} for row in rows(folder)]
    pq.write_table(pa.Table.from_pylist(made), folder / "p.parquet")
    return folder / "p.parquet"


def boxes_of_text(folder: Path) -> Path:
    made = [row | {"box": f"[{row['id']}, 1, 2, 3]"} for row in rows(folder)]
    pq.write_table(pa.Table.from_pylist(made), folder / "p.parquet")
    return folder / "p.parquet"


def huge_ids(folder: Path) -> Path:
    made = [json.dumps(row | {"id": 2**64 + i}) for i, row in enumerate(rows(folder))]
    (folder / "p.jsonl").write_text("\n".join(made))
    return folder / "p.jsonl"


def identified_by(kind: pa.DataType) -> Callable[[Path], Path]:
    """Return what writes a table whose first column alone tells rows apart, of a type."""

    def write(folder: Path) -> Path:
        made = [(7919 * i).to_bytes(16, "big") for i in range(N_ROWS)]
        numbers = [i + (2**63 if kind == pa.uint64() else 0) for i in range(N_ROWS)]
        is_bytes = kind == pa.uuid() or pa.types.is_fixed_size_binary(kind)
        kept = pa.Table.from_pylist(
            [{"text": r["text"], "topic": r["topic"]} for r in rows(folder)]
        )
        ids = pa.array(made if is_bytes else numbers, kind)
        pq.write_table(kept.add_column(0, "uid", ids), folder / "p.parquet")
        return folder / "p.parquet"

    write.__name__ = f"identified_by_{kind}"
    return write


def without_id_but_in_nanoseconds(folder: Path) -> Path:
    """Write a table that Spark does not read, and that names no row."""
    table = pq.read_table(without_id(folder))
    at = pa.array(N_ROWS * [5], pa.timestamp("ns"))
    pq.write_table(table.append_column("at", at), folder / "p.parquet")
    return folder / "p.parquet"


def images(folder: Path) -> Path:
    table = {"key": list(range(N_ROWS)), "png": [png(i) for i in range(N_ROWS)]}
    pq.write_table(pa.table(table), folder / "p.parquet")
    return folder / "p.parquet"


ROW = "concat_ws('#', _metadata.file_name, _metadata.row_index)"
TABLES: dict[Callable[[Path], Path], dict[str, Any]] = {
    json_lines: TEXTS,
    zipped_lines: TEXTS,
    json_array: TEXTS | {"options": {"multiLine": "true"}},
    german_csv: TEXTS | {"options": {"sep": ";"}},
    excel_text: TEXTS | {"options": {"sep": "\t"}},
    doubled_names: {"id": "ID0", "content": "Text2", "metadata": [], "options": {"sep": ";"}},
    partitions: TEXTS,
    without_id: TEXTS | {"id": ROW},
    odd_names: {
        "id": "`Artikel ``Nr.```",
        "content": "beschreibung",
        "metadata": ["gut\n# lines: 2"],
    },
    vectors: {"id": "id", "embedding": "vector", "metadata": ["topic"]},
    vectors_of_text: {"id": "id", "embedding": "embedding", "metadata": ["topic"]},
    boxes_of_text: TEXTS,
    huge_ids: TEXTS | {"id": "cast(id as string)"},
    identified_by(pa.uuid()): TEXTS | {"id": "uid"},
    identified_by(pa.binary(16)): TEXTS | {"id": "uid"},
    identified_by(pa.uint64()): TEXTS | {"id": "cast(uid as string)"},
    identified_by(pa.int16()): TEXTS | {"id": "cast(uid as string)"},
    identified_by(pa.decimal128(10, 0)): TEXTS | {"id": "cast(uid as string)"},
    without_id_but_in_nanoseconds: TEXTS | {"id": ROW},
    images: {"id": "key", "content": "png", "metadata": []},
}


def n_ids(spark: SparkSession, config: RunConfig) -> int:
    pool = open_pool(spark, config.input)
    points = pool_columns(pool, config.input, chosen(config).spec.reads)
    return points.where("value IS NOT NULL").select("id").distinct().count()


@pytest.mark.parametrize("write", TABLES, ids=lambda write: write.__name__)
def test_a_tables_columns_are_named_and_read(
    spark: SparkSession, tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    path = write(tmp_path)
    config = config_of(str(path))
    assert config["input"] == {"table": str(path)} | TABLES[write]
    n_rows = N_ROWS - sum(row["topic"] not in ("bread", "tax") for row in rows(tmp_path))
    wanted = n_rows if write is partitions else N_ROWS
    assert n_ids(spark, parse_config(config)) == wanted


def test_a_delta_tables_log_is_replayed(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "p")
    frame = spark.createDataFrame([(str(i), f"text {i} of {i}", i % 2) for i in range(20)])
    named = frame.toDF("id", "text", "label").coalesce(1).write.format("delta")
    named.partitionBy("label").option("delta.columnMapping.mode", "name").save(path)
    assert config_of(path)["input"] == {
        "table": path, "id": "id", "content": "text", "metadata": ["label"],
    }  # fmt: skip
    spark.sql(f"DELETE FROM delta.`{path}` WHERE label = 1")
    _, shown = first_config(path, None, "c.yaml")
    assert shown == "a Delta table, 10 rows"


# --- forms that decide for themselves -------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "photos" / label / f"{i}.png").write_bytes(png(i))
    (tmp_path / "photos" / "labels.json").write_text("{}")  # strays, as people leave them
    (tmp_path / "photos" / "README.md").write_text("my photos")
    return tmp_path / "photos"


def test_folders_of_images_are_labels(photos: Path) -> None:
    config = config_of(str(photos))
    assert config["input"] == {
        "table": str(photos), "id": "id", "content": "content", "metadata": ["label"],
    }  # fmt: skip
    assert (config["embed"], config["report"]) == ({"model": "pixels"}, {"label": "label"})
    for image in photos.glob("*/*.png"):
        image.rename(photos / f"{image.parent.name}-{image.name}")
    assert "metadata" not in config_of(str(photos))["input"]


def test_a_matrix_is_a_pool_of_vectors(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((30_000, 3), "f4"))
    config = config_of(f"{tmp_path}/x.npy")
    assert config["input"] == {
        "table": f"{tmp_path}/x.npy", "id": "id", "embedding": "embedding",
    }  # fmt: skip
    assert config["embed"] == {"model": "precomputed"}
    assert [(s["name"], s["target_size"]) for s in config["samples"]] == [
        ("balanced", 2000),
        ("balanced_small", 200),
    ]


def test_arrays_of_an_npz_are_columns(tmp_path: Path) -> None:
    names, y = np.array([f"n{i}" for i in range(9)]), np.arange(9) % 3
    np.savez(
        tmp_path / "x.npz", X=np.zeros((9, 3), "f4"), y=y, names=names, X_test=np.zeros((2, 3))
    )
    config = config_of(f"{tmp_path}/x.npz")
    assert config["input"] == {
        "table": f"{tmp_path}/x.npz", "id": "names", "embedding": "X", "metadata": ["y"],
    }  # fmt: skip


def test_shards_of_webdataset_hold_images_or_texts(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("1.png", "1.cls", "2.png", "2.cls"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    config = config_of(f"{tmp_path}/a.tar")
    assert config["input"] == {
        "table": f"{tmp_path}/a.tar", "id": "id", "content": "png", "metadata": ["cls"],
    }  # fmt: skip
    assert config["embed"] == {"model": "pixels"}


def test_arrow_files_are_read_as_tables(tmp_path: Path) -> None:
    table = pa.table(
        {"key": [f"k{i}" for i in range(9)], "text": [f"a text of {i}" for i in range(9)]}
    )
    pyarrow.feather.write_feather(table, tmp_path / "x.feather")
    config = config_of(f"{tmp_path}/x.feather")
    assert (config["input"]["id"], config["input"]["content"]) == ("key", "text")


def test_texts_are_one_a_file(tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / f"{i}.txt").write_text("text")
    assert config_of(str(tmp_path))["input"]["content"] == "value"


def test_parquet_counts_before_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("a repository as Hugging Face lays it out")
    image = {"bytes": png(), "path": "a.png"}
    table = pa.Table.from_pylist([{"image": image, "label": i % 2} for i in range(8)])
    pq.write_table(table, tmp_path / "data" / "train-0.parquet")
    assert config_of(str(tmp_path))["input"] == {
        "table": str(tmp_path), "id": ROW, "content": "image.bytes", "metadata": ["label"],
    }  # fmt: skip


# --- what cannot be seen from here, and what is refused -------------------------------------------


@pytest.mark.parametrize("table", ["s3://bucket/pool", "main.lake.documents", "documents"])
def test_what_is_elsewhere_gets_a_starter_that_says_what_to_fill_in(table: str) -> None:
    text, _ = first_config(table, "images", "c.yaml")
    plain = yaml.safe_load(text)
    assert plain["input"] == {"table": table, "id": "id", "content": "image", "metadata": []}
    assert plain["embed"] == {"model": "pixels"}
    assert text.count("FILL IN") == 2
    starter, _ = first_config(None, None, "c.yaml")
    assert starter.count("FILL IN") == 3


@pytest.mark.parametrize(
    ("pool", "modality", "message"),
    [
        ("no/where", None, "no/where': no such file or folder; want a pool's path, or none"),
        ("texts.jsonl", None, "texts.jsonl': no such file or folder; want a pool's path, or none"),
        ("here/a.zip", None, "here/a.zip' holds files ending in .zip; want Parquet, Delta, JSON"),
        ("here/x.npy", None, "here/x.npy' has the shape (3,); want (rows, features)"),
        ("here/x.npy", "text", "here/x.npy' has the shape (3,); want (rows, features)"),
        ("here/2.npy", "text", "is vectors of 3 features; want --vectors instead of --text"),
        ("here/bad.parquet", None, "here/bad.parquet' cannot be read: Parquet magic bytes not"),
        ("here/p.jsonl", "images", "p.jsonl' has no column of images; it has id, text, topic"),
        ("here/q.jsonl", None, "q.jsonl' has no column of texts, images or vectors; it has n"),
    ],
)
def test_what_is_no_pool_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str, modality: Any, message: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in ("a.zip", "bad.parquet"):
        (here / name).write_bytes(b"not really a file of this kind")
    np.save(here / "x.npy", np.zeros(3))
    np.save(here / "2.npy", np.zeros((2, 3)))
    write_texts(here / "p.jsonl", 9)
    (here / "q.jsonl").write_text('{"n": 1.5}\n{"n": 2.5}\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        first_config(pool, modality, "c.yaml")
    assert message in str(refused.value)


def parquet_file(*ids: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"id": ids}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.parquet", parquet_file(1) + parquet_file(2, 3), "another Parquet file begins at byte"),
        ("p.csv", b"id,text\n1,a\n\xef\xbb\xbfid,text\n2,b\n", "line 3 begins with a byte order"),
        ("p.csv", "id,text\n1,a\n".encode("utf-16-le"), "set input.options.encoding: UTF-16LE"),
        ("p.json", b'[{"id": 1,\n"text":"caf\xe9"}]', "it is not UTF-8 at byte 22; write it again"),
        ("p.csv", b"sep=;\nid;text\n1;a\n", "line 1 is 'sep=;', which Excel writes for itself"),
        ("p.csv", b"# of today\nid,text\n1,a\n", "line 1 is a comment, '# of today'; delete"),
        ("p.csv", b'id,text\n1,"a" b\n', "the quoted field that begins at line 2 is closed at"),
        ("p.csv", b"id,text\r\n1,a\n", "line 2 ends otherwise than those before it; want"),
        ("p.csv.GZ", b"packed", "names end in .gz, .bz2 or .zst, in small letters; rename it"),
        ("p.json", b'{"id":{"0":1},"text":{"0":"a"}}', "orient='records', lines=True)"),
        ("p.jsonl", '{"id":1}'.encode("utf-16"), "it is in UTF-16; want UTF-8"),
        ("p.jsonl", b'{"id":1}{"id":2}', "follows the record, and Spark would drop it"),
        ("p.jsonl", b'{"id":1,"Text":"a","text":"b"}', "the columns 'Text', 'text' have one name"),
        ("p.jsonl", b'{"Text":"a"}\n{"text":"b"}', "the columns 'Text', 'text' have one name"),
        ("p.jsonl", b'{"id":1,"id":2}', "the columns 'id', 'id' have one name, whatever its case"),
    ],
)
def test_what_the_pools_door_would_refuse_is_said_at_once(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        first_config(f"{tmp_path}/{name}", None, "c.yaml")
    assert message in str(refused.value)


def test_tables_never_go_into_the_pools_own_folder(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    assert config_of(".")["output"] == {"root": str(photos.with_name("photos-lake"))}
    monkeypatch.chdir(photos.parent)
    assert config_of("photos/")["output"] == {"root": "photos-lake"}


def test_ids_of_arrays_are_whole_numbers_or_texts_and_in_no_two_files(tmp_path: Path) -> None:
    for i in range(2):
        np.savez(
            tmp_path / f"{i}.npz",
            X=np.random.default_rng(i).random((9, 4)),
            score=np.linspace(i, i + 0.5, 9),
            idx=np.arange(9),
            name=np.array([f"{i}-{j}" for j in range(9)]),
        )
    assert config_of(str(tmp_path))["input"]["id"] == "name"


def test_empty_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").touch()
    (tmp_path / "1.jsonl").write_text('{"key": "a", "body": "some text"}\n' * 3)
    assert config_of(str(tmp_path))["input"]["content"] == "body"
