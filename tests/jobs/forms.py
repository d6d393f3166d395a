"""The forms that people's pools have: each is written by its own library, and read back by it."""

import bz2
import gzip
import io
import json
import tarfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

IDS = [f"row-{i}" for i in range(5)]
TEXTS = ["plain", 'with "quotes", commas', "two\nlines", "naïve 猫 🐈", "  spaces  "]
VECTORS = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
UUIDS = [uuid.UUID(int=i * 7919) for i in range(1, 6)]

Rows = dict[Any, tuple[Any, dict[str, str | None] | None]]


@dataclass(frozen=True)
class Form:
    """One form.

    Attributes
    ----------
    write : writes the pool into a folder and returns what its own library reads from it:
        id -> value, metadata
    table : inside the folder
    config : keys of ``input``
    """

    write: Callable[[Path], Rows]
    config: dict[str, Any]
    table: str = ""
    value: str = "content"
    kinds: tuple[str, ...] = field(default=())


def plain(values: Any, ids: Any = None) -> Rows:
    return {i: (v, None) for i, v in zip(IDS if ids is None else ids, values, strict=True)}


# --- texts ----------------------------------------------------------------------------------------


def csv(**options: Any) -> Callable[[Path], Rows]:
    def write(folder: Path) -> Rows:
        how = {"index": False} | {k: v for k, v in options.items() if k != "name"}
        path = folder / options.get("name", "pool.csv")
        pd.DataFrame({"id": IDS, "text": TEXTS}).to_csv(path, **how)
        read = {k: v for k, v in how.items() if k in ("sep", "encoding", "compression")}
        got = pd.read_csv(path, dtype=str, keep_default_na=False, **read)
        return plain(got["text"], got["id"])

    return write


def json_lines(name: str, pack: Callable[[bytes], bytes] = bytes) -> Callable[[Path], Rows]:
    def write(folder: Path) -> Rows:
        frame = pd.DataFrame({"id": IDS, "text": TEXTS})
        content = frame.to_json(orient="records", lines=True, force_ascii=False).encode()
        (folder / name).write_bytes(pack(content))
        got = pd.read_json(io.BytesIO(content), lines=True)
        return plain(got["text"], got["id"])

    return write


def json_document(**how: Any) -> Callable[[Path], Rows]:
    def write(folder: Path) -> Rows:
        rows = [{"id": i, "text": t} for i, t in zip(IDS, TEXTS, strict=True)]
        (folder / "pool.json").write_text(json.dumps(rows, **how))
        got = json.loads((folder / "pool.json").read_text())
        return {row["id"]: (row["text"], None) for row in got}

    return write


def text_files(encoding: str, newline: str | None = None) -> Callable[[Path], Rows]:
    def write(folder: Path) -> Rows:
        for name, text in zip(IDS, TEXTS, strict=True):
            with open(folder / f"{name}.txt", "w", encoding=encoding, newline=newline) as file:
                file.write(text)
        paths = sorted(folder.glob("*.txt"))
        return {p.name: (p.read_bytes().decode(encoding), None) for p in paths}

    return write


# --- tables ---------------------------------------------------------------------------------------


def parquet(**columns: Any) -> Callable[[Path], Rows]:
    """Write a table whose columns ``id`` and the last one are the rows."""

    def write(folder: Path) -> Rows:
        table = pa.table({"id": IDS} | columns)
        pq.write_table(table, folder / "pool.parquet")
        got = pq.read_table(folder / "pool.parquet").to_pydict()
        *_, last = got
        return plain(got[last], got["id"])

    return write


def hugging_face(folder: Path) -> Rows:
    """Write a data set's repository: Parquet in ``data``, and what stands beside it."""
    (folder / "data").mkdir()
    images = [png(i) for i in range(5)]
    table = pa.table(
        {
            "image": pa.array([{"bytes": b, "path": f"{i}.png"} for i, b in enumerate(images)]),
            "name": IDS,
            "label": pa.array([0, 1, 0, 1, 0]),
        }
    )
    for i in range(2):
        part = table.slice(3 * i, 3)
        pq.write_table(part, folder / "data" / f"train-{i:05}-of-00002.parquet")
    (folder / "README.md").write_text("# A data set\n" * 20)
    (folder / ".gitattributes").write_text("*.parquet filter=lfs")
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))
    got = pd.read_parquet(folder / "data")
    return {
        row["name"]: (row["image"]["bytes"], {"label": str(row["label"])})
        for _, row in got.iterrows()
    }


def in_parts(folder: Path) -> Rows:
    """Write Parquet whose later part has a column that the first one lacks."""
    pq.write_table(pa.table({"id": IDS[:2], "text": TEXTS[:2]}), folder / "a.parquet")
    late = {"id": IDS[2:], "text": TEXTS[2:], "lang": ["en", "de", "fr"]}
    pq.write_table(pa.table(late), folder / "b.parquet")
    tables = [pq.read_table(folder / f"{name}.parquet") for name in "ab"]
    got = pa.concat_tables(tables, promote_options="default").to_pylist()
    return {row["id"]: (row["text"], {"lang": row["lang"]}) for row in got}


def arrow(is_stream: bool) -> Callable[[Path], Rows]:
    def write(folder: Path) -> Rows:
        table = pa.table({"id": IDS, "text": TEXTS})
        make = pa.ipc.new_stream if is_stream else pa.ipc.new_file
        with make(str(folder / "data-00000-of-00001.arrow"), table.schema) as writer:
            writer.write_table(table)
        (folder / "state.json").write_text("{}")
        read = pa.ipc.open_stream if is_stream else pa.ipc.open_file
        got = read(pa.OSFile(str(folder / "data-00000-of-00001.arrow"))).read_all().to_pydict()
        return plain(got["text"], got["id"])

    return write


def components(folder: Path) -> Rows:
    frame = pd.DataFrame(VECTORS, columns=[f"x{i}" for i in range(4)])
    frame.assign(id=IDS).to_parquet(folder / "pool.parquet")
    got = pd.read_parquet(folder / "pool.parquet")
    return plain(got[["x0", "x1", "x2", "x3"]].to_numpy().tolist(), got["id"])


# --- images ---------------------------------------------------------------------------------------


def png(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def class_folders(folder: Path) -> Rows:
    names = ["cat/a.png", "cat/b.PNG", "dog/a.png", "dog/deep/c.jpeg", "top.png"]
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(i))
    (folder / "label.json").write_text("{}")
    (folder / "README").write_text("about")
    (folder / "cat" / "_hidden.png").write_bytes(png(9))
    (folder / "cat" / "empty.png").write_bytes(b"")
    found = [p for p in folder.rglob("*") if str(p.relative_to(folder)) in names]
    return {
        str(p.relative_to(folder)): (
            p.read_bytes(),
            {"label": p.parent.name if p.parent != folder else None},
        )
        for p in found
    }


def partitions(folder: Path) -> Rows:
    for i, label in enumerate(["007", "7", "a b"]):
        (folder / f"label={label}").mkdir()
        (folder / f"label={label}" / "x.png").write_bytes(png(i))
    return {
        f"{p.parent.name}/x.png": (p.read_bytes(), {"label": p.parent.name.partition("=")[2]})
        for p in folder.glob("*/x.png")
    }


def odd_names(folder: Path) -> Rows:
    for i, name in enumerate(["a b+c%41.png", "猫.png", "x[1]{2}.png"]):
        (folder / name).write_bytes(png(i))
    return {p.name: (p.read_bytes(), None) for p in folder.iterdir()}


def joined(folder: Path) -> Rows:
    """Write shards and join them to one file, as ``cat a.tar b.tar`` does."""
    rows = webdataset(2)(folder)
    shards = sorted(folder.glob("*.tar"))
    (folder / "all.tar").write_bytes(b"".join(path.read_bytes() for path in shards))
    for path in shards:
        path.unlink()
    return {id_.partition("/")[2]: row for id_, row in rows.items()}


def packed_shard(name: str, pack: Callable[[bytes], bytes]) -> Callable[[Path], Rows]:
    def write(folder: Path) -> Rows:
        rows = webdataset(1)(folder)
        (path,) = folder.glob("*.tar")
        (folder / name).write_bytes(pack(path.read_bytes()))
        path.unlink()
        return rows

    return write


def webdataset(n_shards: int) -> Callable[[Path], Rows]:
    def write(folder: Path) -> Rows:
        rows: Rows = {}
        for shard in range(n_shards):
            name = f"shard-{shard:06}.tar"
            with tarfile.open(folder / name, "w") as tar:
                for i in range(3):
                    members = {"png": png(i), "cls": str(i).encode(), "json": b'{"a": 1}'}
                    if i == 2:
                        del members["cls"]
                    for ending, content in members.items():
                        info = tarfile.TarInfo(f"train/{shard}{i}.{ending}")
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
            with tarfile.open(folder / name) as tar:
                members = {m.name: file.read() for m in tar if (file := tar.extractfile(m))}
            for member, content in members.items():
                key = member.partition(".")[0]
                if member.endswith("png"):
                    label = members.get(f"{key}.cls")
                    id_ = key if n_shards == 1 else f"{name}/{key}"
                    rows[id_] = (content, {"cls": label and label.decode()})
        return rows

    return write


# --- vectors --------------------------------------------------------------------------------------


def npy(dtype: str) -> Callable[[Path], Rows]:
    def write(folder: Path) -> Rows:
        np.save(folder / "x.npy", (10 * VECTORS).astype(dtype))
        got = np.load(folder / "x.npy")
        return {i: (row.tolist(), None) for i, row in enumerate(got)}

    return write


def several_npy(folder: Path) -> Rows:
    for i in range(2):
        np.save(folder / f"part-{i}.npy", VECTORS + i)
    return {
        f"part-{i}.npy/{row}": (vector.tolist(), None)
        for i in range(2)
        for row, vector in enumerate(np.load(folder / f"part-{i}.npy"))
    }


def npz(folder: Path) -> Rows:
    arrays = {"X": VECTORS.astype(np.float16), "y": np.arange(5, dtype=np.int16)}
    np.savez(folder / "x.npz", **arrays, names=np.array(IDS), X_test=VECTORS[:2], classes=IDS[:3])
    got = np.load(folder / "x.npz")
    return {
        str(name): (x.astype(np.float32).tolist(), {"y": str(y)})
        for name, x, y in zip(got["names"], got["X"], got["y"], strict=True)
    }


LISTS = VECTORS.tolist()
BYTES = VECTORS.astype(np.int8).tolist()

FORMS: dict[str, Form] = {
    "csv as pandas writes it": Form(csv(), {"content": "text"}),
    "csv with all fields quoted": Form(csv(quoting=1), {"content": "text"}),
    "csv of Windows": Form(csv(lineterminator="\r\n"), {"content": "text"}),
    "csv with a byte order mark": Form(csv(encoding="utf-8-sig"), {"content": "text"}),
    "csv in UTF-16, as Excel's Unicode text": Form(csv(encoding="utf-16"), {"content": "text"}),
    "csv.gz": Form(csv(name="pool.csv.gz"), {"content": "text"}),
    "tsv": Form(csv(name="pool.tsv", sep="\t"), {"content": "text"}),
    "csv with semicolons": Form(csv(sep=";"), {"content": "text", "options": {"sep": ";"}}),
    "csv in an encoding that is named": Form(
        csv(encoding="utf-16-be"), {"content": "text", "options": {"encoding": "UTF-16BE"}}
    ),
    "jsonl": Form(json_lines("pool.jsonl"), {"content": "text"}),
    "jsonl.gz": Form(json_lines("pool.jsonl.gz", gzip.compress), {"content": "text"}),
    "jsonl.bz2": Form(json_lines("pool.jsonl.bz2", bz2.compress), {"content": "text"}),
    "jsonl.zst": Form(
        json_lines("pool.jsonl.zst", lambda b: pa.Codec("zstd").compress(b, asbytes=True)),
        {"content": "text"},
    ),
    "jsonl with a byte order mark": Form(
        json_lines("pool.jsonl", lambda b: b"\xef\xbb\xbf" + b), {"content": "text"}
    ),
    "jsonl of Windows": Form(
        json_lines("pool.jsonl", lambda b: b.replace(b"\n", b"\r\n")), {"content": "text"}
    ),
    "json, one array in a line": Form(json_document(), {"content": "text"}),
    "json, an array over many lines": Form(json_document(indent=2), {"content": "text"}),
    "text files": Form(text_files("utf-8"), {"content": "value"}),
    "text files with a byte order mark": Form(text_files("utf-8-sig"), {"content": "value"}),
    "text files in UTF-16": Form(text_files("utf-16"), {"content": "value"}),
    "text files of Windows": Form(text_files("utf-8", "\r\n"), {"content": "value"}),
    "parquet": Form(parquet(text=TEXTS), {"content": "text"}),
    "parquet of large strings": Form(
        parquet(text=pa.array(TEXTS, pa.large_string())), {"content": "text"}
    ),
    "parquet of dictionaries": Form(
        parquet(text=pa.array(TEXTS).dictionary_encode()), {"content": "text"}
    ),
    "parquet with a column in later parts alone": Form(
        in_parts, {"content": "text", "metadata": ["lang"]}
    ),
    "parquet with UUIDs of pyarrow": Form(
        lambda folder: {
            str(u): row
            for u, row in zip(
                UUIDS,
                parquet(id=pa.array([u.bytes for u in UUIDS], pa.uuid()), text=TEXTS)(
                    folder
                ).values(),
                strict=True,
            )
        },
        {"content": "text"},
    ),
    "parquet with UUIDs as bytes": Form(
        parquet(id=pa.array([u.bytes for u in UUIDS], pa.binary(16)), text=TEXTS),
        {"content": "text"},
    ),
    "parquet with times in nanoseconds": Form(
        parquet(at=pa.array(range(5), pa.timestamp("ns")), text=TEXTS), {"content": "text"}
    ),
    "parquet with times of day": Form(
        parquet(at=pa.array(range(5), pa.time64("us")), text=TEXTS), {"content": "text"}
    ),
    "parquet with wide decimals": Form(
        parquet(n=pa.array(range(5), pa.decimal256(50, 0)), text=TEXTS), {"content": "text"}
    ),
    "an Arrow file": Form(arrow(is_stream=False), {"content": "text"}),
    "an Arrow stream, as Hugging Face saves": Form(arrow(is_stream=True), {"content": "text"}),
    "a data set's repository": Form(
        hugging_face, {"id": "name", "content": "image", "metadata": ["label"]}
    ),
    "a data set's repository, bytes by name": Form(
        hugging_face, {"id": "name", "content": "image.bytes", "metadata": ["label"]}
    ),
    "class folders": Form(class_folders, {"content": "content", "metadata": ["label"]}),
    "folders that are partitions": Form(partitions, {"content": "content", "metadata": ["label"]}),
    "names of every kind": Form(odd_names, {"content": "content"}),
    "a webdataset shard": Form(webdataset(1), {"content": "png", "metadata": ["cls"]}),
    "webdataset shards": Form(webdataset(2), {"content": "png", "metadata": ["cls"]}),
    "webdataset shards in one file": Form(joined, {"content": "png", "metadata": ["cls"]}),
    "a webdataset shard, .gz": Form(
        packed_shard("x.tar.gz", gzip.compress), {"content": "png", "metadata": ["cls"]}
    ),
    "a webdataset shard, .zst": Form(
        packed_shard("x.tar.zst", lambda b: pa.Codec("zstd").compress(b, asbytes=True)),
        {"content": "png", "metadata": ["cls"]},
    ),
    "npy of float32": Form(npy("<f4"), {"embedding": "embedding"}, "x.npy", "embedding"),
    "npy of float64": Form(npy("<f8"), {"embedding": "embedding"}, "x.npy", "embedding"),
    "npy of float16": Form(npy("<f2"), {"embedding": "embedding"}, "x.npy", "embedding"),
    "npy of big-endian float32": Form(npy(">f4"), {"embedding": "embedding"}, "x.npy", "embedding"),
    "npy of int8": Form(npy("i1"), {"embedding": "embedding"}, "x.npy", "embedding"),
    "several npy": Form(several_npy, {"embedding": "embedding"}, "", "embedding"),
    "npz": Form(npz, {"id": "names", "embedding": "X", "metadata": ["y"]}, "", "embedding"),
    "lists of float64": Form(parquet(v=LISTS), {"embedding": "v"}, "", "embedding"),
    "lists of fixed size": Form(
        parquet(v=pa.array(LISTS, pa.list_(pa.float32(), 4))), {"embedding": "v"}, "", "embedding"
    ),
    "large lists": Form(
        parquet(v=pa.array(LISTS, pa.large_list(pa.float32()))), {"embedding": "v"}, "", "embedding"
    ),
    "lists of float16": Form(
        parquet(v=pa.array(VECTORS.astype(np.float16).tolist(), pa.list_(pa.float32())).cast(
            pa.list_(pa.float16()))),
        {"embedding": "v"}, "", "embedding",
    ),
    "lists of int8": Form(
        parquet(v=pa.array(BYTES, pa.list_(pa.int8()))), {"embedding": "v"}, "", "embedding"
    ),
    "lists of uint8": Form(
        parquet(v=pa.array(np.abs(BYTES).tolist(), pa.list_(pa.uint8()))),
        {"embedding": "v"}, "", "embedding",
    ),
    "a matrix of one row": Form(
        lambda folder: {
            i: (v[0], m) for i, (v, m) in parquet(v=[[row] for row in LISTS])(folder).items()
        },
        {"embedding": "v"}, "", "embedding",
    ),
    "text of pgvector": Form(
        lambda folder: {
            i: (json.loads(v), m)
            for i, (v, m) in parquet(v=[str(row) for row in LISTS])(folder).items()
        },
        {"embedding": "v"}, "", "embedding",
    ),
    "a column a component": Form(
        components, {"embedding": "array(x0, x1, x2, x3)"}, "", "embedding"
    ),
}  # fmt: skip
