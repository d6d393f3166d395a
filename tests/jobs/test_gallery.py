"""The page's gallery: which nodes and points it shows, how they are named, and what is in them."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from jobs import curate
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.gallery.exemplars import N_NODES, exemplars, names, shown_nodes
from jobs.gallery.nodes import gallery_of
from jobs.gallery.turned_away import turned_away
from udfs.examples import PICTURE_SIZE, make_examples

N_POINTS = 48
WORDS = {"cats": "purring whiskers kitten", "ships": "harbour anchor sailing"}


def test_nodes_come_from_the_largest_to_the_smallest() -> None:
    sizes = np.arange(100, 0, -1)
    found = shown_nodes(allocations({2: [7, 3], 1: sizes.tolist()}), "s")
    assert found["level"].unique().tolist() == [1]  # the top has too few
    assert len(found) == N_NODES
    assert found["capacity"].is_monotonic_decreasing
    assert (found["capacity"].iloc[0], found["capacity"].iloc[-1]) == (100, 1)


def allocations(levels: dict[int, list[int]]) -> pa.Table:
    rows = [
        ("s", level, node, capacity, min(capacity, 2))
        for level, capacities in levels.items()
        for node, capacity in enumerate(capacities)
    ]
    columns = ["sample", "level", "node_id", "capacity", "quota"]
    return pa.table(dict(zip(columns, zip(*rows, strict=True), strict=True)))


def test_nodes_are_named_by_words_that_are_their_own() -> None:
    found = names(["the cat and the kitten", "the ship and the harbour", ""])
    assert "kitten" in found[0]
    assert "harbour" in found[1]
    assert found[2] == ""
    assert names(["", "12 34"]) == ["", ""]


def test_points_are_those_admitted_first_and_others_by_hash(spark: SparkSession) -> None:
    points = spark.createDataFrame(
        [(f"p{i}", [i % 8, i % 2]) for i in range(64)], "id string, path array<long>"
    )
    drawn = spark.createDataFrame([("p0", 1), ("p8", 0), ("p1", 2)], "id string, position long")
    nodes = pd.DataFrame({"level": [1, 1], "node_id": [0, 3]})
    found = [
        sorted(map(tuple, exemplars(points.repartition(n), drawn, nodes).collect())) for n in (1, 7)
    ]
    assert found[0] == found[1]
    kept = [(id_, place) for id_, node, is_kept, place in found[0] if is_kept and node == 0]
    assert kept == [("p0", 1), ("p8", 0)]
    assert {node for _, node, _, _ in found[0]} == {0, 3}
    assert len(found[0]) == 16


def test_a_gallery_says_how_much_of_each_node_was_kept() -> None:
    picked = pd.DataFrame(
        {
            "id": ["a", "b", b"\x01"], "node_id": [0, 0, 1], "is_kept": [True, False, True],
            "place": 0, "text": [" two\n words ", "x" * 500, None], "picture": [None, None, b"jpg"],
        }
    )  # fmt: skip
    table = allocations({1: [8, 2, 30]})
    nodes = table.to_pandas().iloc[:2]
    found = gallery_of("s", table, nodes, picked, 4)
    assert found.uniform_share == pytest.approx(6 / 40)
    assert [(n.n_points, n.n_kept, n.share, n.bar) for n in found.nodes] == [
        (8, 2, 0.25, 0.25), (2, 2, 1.0, 1.0),
    ]  # fmt: skip
    assert found.nodes[0].kept[0].text == "two words"
    assert len(found.nodes[0].left[0].text or "") == 160
    assert (found.nodes[1].kept[0].id, found.nodes[1].left) == ("01", [])
    assert (found.nodes[1].kept[0].picture or "").startswith("data:image/jpeg;base64,")


def png(color: tuple[int, int, int], size: tuple[int, int] = (400, 200)) -> bytes:
    image = Image.new("RGB", size, color)
    image.putpixel((0, 0), (255, 255, 255))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_examples_are_small_pictures_and_the_beginnings_of_texts() -> None:
    values = pa.array([png((9, 9, 9)), b"plain text", b"\xff\xfe\x00", None], pa.binary())
    batch = pa.record_batch({"id": pa.array(range(4)), "value": values})
    (found,) = make_examples(opens_paths=False)(iter([batch]))
    texts, pictures = found.column("text").to_pylist(), found.column("picture").to_pylist()
    assert texts == [None, "plain text", None, None]
    assert pictures[1:] == [None, None, None]
    with Image.open(BytesIO(pictures[0])) as picture:
        assert (picture.format, picture.size) == ("JPEG", (PICTURE_SIZE, PICTURE_SIZE // 2))


def test_texts_that_look_like_paths_are_not_opened() -> None:
    batch = pa.record_batch({"id": [1], "value": [__file__]})
    (found,) = make_examples(opens_paths=False)(iter([batch]))
    assert found.column("text").to_pylist() == [__file__]


def write_pool(spark: SparkSession, folder: Path) -> None:
    rng = np.random.default_rng(1)
    rows = []
    for i in range(N_POINTS):
        kind = list(WORDS)[i % 2]
        text = f"{kind} {WORDS[kind]} number {i}"
        color = (int(rng.integers(20)), 200, i) if i % 2 else (200, int(rng.integers(20)), i)
        rows.append(
            (f"p{i:02}", text, bytearray(png(color)), rng.standard_normal(4).tolist(), kind)
        )
    rows.append(("copy", *rows[3][1:]))
    columns = "id string, text string, image binary, vector array<double>, kind string"
    spark.createDataFrame(rows, columns).coalesce(1).write.parquet(f"{folder}/pool")


def config_of(folder: Path, root: str, given: dict[str, Any], **more: Any) -> RunConfig:
    plain = {
        "input": {"table": f"{folder}/pool", "metadata": ["kind"]} | given,
        "output": {"root": f"{folder}/{root}"},
        "cluster": {"levels": [8, 2], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": 16, "share": {"leaves": 0.0}}],
    }
    return parse_config(plain | more)


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    write_pool(spark, folder)
    return folder


def page_of(spark: SparkSession, config: RunConfig) -> str:
    return curate.page(spark, config) if curate.run(spark, config) else ""


def test_texts_are_shown_with_names(spark: SparkSession, folder: Path) -> None:
    config = config_of(
        folder, "texts", {"content": "text"}, embed={"model": "lsa", "n_components": 8}
    )
    page = page_of(spark, config)
    assert "What was kept, what was left out" in page
    assert "purring whiskers kitten number" in page
    assert 'class="title">' in page
    assert "node 0" not in page  # they have names
    assert "Turned away" in page
    assert "the same content as the one that stays" in " ".join(page.split())


def test_images_are_shown_as_pictures(spark: SparkSession, folder: Path) -> None:
    options = {"model": "pixels", "n_components": 8}
    page = page_of(spark, config_of(folder, "images", {"content": "image"}, embed=options))
    first = page.split('src="data:image/jpeg;base64,')[1].split('"')[0]
    with Image.open(BytesIO(base64.b64decode(first))) as picture:
        assert picture.size == (PICTURE_SIZE, PICTURE_SIZE // 2)


def test_vectors_are_shown_by_their_metadata(spark: SparkSession, folder: Path) -> None:
    given = {"embedding": "vector"}
    page = page_of(spark, config_of(folder, "vectors", given))
    assert "kind: cats" in page
    without = page_of(spark, config_of(folder, "vectors", given, report={"examples": 0}))
    assert "What was kept, what was left out" not in without


def test_what_gates_turned_away_is_shown_beside_what_stays() -> None:
    picked = pd.DataFrame(
        {
            "id": ["b", "c"], "beside_id": ["a", None], "reason": ["near duplicate", "outlier"],
            "detail": ["cosine similarity 0.990", "score 9.1"], "place": 0,
        }
    )  # fmt: skip
    looks = pd.DataFrame({"id": ["a", "b"], "text": ["first", "second"], "picture": None})
    (near, (copy,)), (outlier, (alone,)) = turned_away(picked, looks)
    assert (near, copy.point.text, copy.detail) == (
        "near duplicate", "second", "cosine similarity 0.990",
    )  # fmt: skip
    assert copy.beside is not None
    assert (copy.beside.id, copy.beside.text) == ("a", "first")
    assert (outlier, alone.point.id, alone.point.text, alone.beside) == (
        "outlier", "c", None, None,
    )  # fmt: skip
