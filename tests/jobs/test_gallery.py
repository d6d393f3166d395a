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
from jobs.gallery.exemplars import (
    N_NODES,
    READ_PER_NODE,
    exemplars,
    few_turned_away,
    largest_nodes,
    names,
    shown_nodes,
)
from jobs.gallery.nodes import gallery_of
from jobs.gallery.turned_away import turned_away
from jobs.gallery.view import fitting
from udfs.examples import PICTURE_SIZE, make_examples

pytestmark = pytest.mark.whole

N_POINTS = 48
WORDS = {"cats": "purring whiskers kitten", "ships": "harbour anchor sailing"}


def test_nodes_come_from_the_largest_to_the_smallest() -> None:
    sizes = np.arange(100, 0, -1)
    found = shown_nodes(allocations({2: [7, 3], 1: sizes.tolist()}), "s")
    assert found["level"].unique().tolist() == [1]  # the top has too few
    assert len(found) == N_NODES
    assert found["n_points"].is_monotonic_decreasing
    assert (found["n_points"].iloc[0], found["n_points"].iloc[-1]) == (100, 1)


def allocations(levels: dict[int, list[int]]) -> pa.Table:
    rows = [
        ("s", level, node, capacity, min(capacity, 2))
        for level, capacities in levels.items()
        for node, capacity in enumerate(capacities)
    ]
    columns = ["sample", "level", "node_id", "n_points", "quota"]
    return pa.table(dict(zip(columns, zip(*rows, strict=True), strict=True)))


def test_nodes_are_named_by_words_that_are_their_own() -> None:
    found = names(["the cat and the kitten", "the ship and the harbour", ""])
    assert "kitten" in found[0]
    assert "harbour" in found[1]
    assert found[2] == ""
    assert names(["", "12 34"]) == ["", ""]


def test_the_largest_nodes_of_all_levels_are_shown_too() -> None:
    table = allocations({1: [5, 7, 0, 1], 2: [12, 1]})
    shown = pd.DataFrame({"level": [1], "node_id": [1]})
    found = largest_nodes(table, "s", shown)
    assert list(zip(found["level"], found["node_id"], strict=True)) == [
        (2, 0), (1, 0), (2, 1), (1, 3),
    ]  # fmt: skip


def test_points_are_those_admitted_first_others_by_hash_and_the_ends(spark: SparkSession) -> None:
    points = spark.createDataFrame(
        [(f"p{i:02}", [i % 8, i % 2], float(i)) for i in range(64)],
        "id string, path array<long>, sq_distance double",
    )
    drawn = spark.createDataFrame([("p00", 1), ("p08", 0), ("p01", 2)], "id string, position long")
    nodes = pd.DataFrame({"level": [1, 1, 2], "node_id": [0, 3, 1]})
    found = [
        sorted(map(tuple, exemplars(points.repartition(n), drawn, nodes).collect())) for n in (1, 7)
    ]
    assert found[0] == found[1]
    of_kind: dict[str, list[Any]] = {}
    for id_, level, node, kind, place in found[0]:
        of_kind.setdefault(f"{level}.{node} {kind}", []).append((id_, place))
    assert of_kind["1.0 kept"] == [("p00", 1), ("p08", 0)]
    assert of_kind["2.1 kept"] == [("p01", 0)]
    assert {key: len(points) for key, points in of_kind.items() if "left" in key} == {
        "1.0 left": 6, "1.3 left": 8, "2.1 left": READ_PER_NODE,
    }  # fmt: skip
    ends = {key: ids[0][0] for key, ids in of_kind.items() if "est" in key}
    assert ends == {  # p00 is alone in its leaf, as far as one can tell
        "1.0 closest": "p08", "1.0 farthest": "p56", "1.3 closest": "p03", "1.3 farthest": "p59",
        "2.1 closest": "p01", "2.1 farthest": "p63",
    }  # fmt: skip


def test_copies_of_a_point_are_shown_together(spark: SparkSession) -> None:
    rows = [(f"c{i:02}", f"k{i % 5}", "duplicate", "") for i in range(40)]
    rows += [(f"o{i}", None, "outlier", "") for i in range(4)]
    gone = spark.createDataFrame(rows, "id string, beside_id string, reason string, detail string")
    found = few_turned_away(gone, 2).toPandas()
    copies = found[found["reason"] == "duplicate"]
    assert copies.groupby("beside_id").size().tolist() == [3, 3]
    assert copies.groupby("group")["beside_id"].nunique().tolist() == [1, 1]
    assert (found["reason"] == "outlier").sum() == 2


def test_a_gallery_says_how_much_of_each_node_was_kept() -> None:
    picked = pd.DataFrame(
        {
            "id": ["a", "b", b"\x01", "c"], "level": 1, "node_id": [0, 0, 1, 2],
            "kind": ["kept", "left", "kept", "farthest"],
            "place": 0, "text": [" two\n words ", "x" * 500, None, None],
            "words": [" two\n words ", "x" * 500, None, None],
            "picture": [None, None, b"jpg", None],
        }
    )  # fmt: skip
    table = allocations({1: [8, 2, 30]})
    nodes = table.to_pandas()
    found = gallery_of("s", table, [nodes.iloc[:2], nodes.iloc[2:]], picked, 4)
    assert found.uniform_share == pytest.approx(6 / 40)
    assert [(n.n_points, n.n_kept, n.share, n.bar) for n in found.nodes] == [
        (8, 2, 0.25, 0.25), (2, 2, 1.0, 1.0),
    ]  # fmt: skip
    assert found.nodes[0].kept[0].text == "two words"
    assert len(found.nodes[0].left[0].text or "") == 160
    assert (found.nodes[1].kept[0].id, found.nodes[1].left) == ("01", [])
    assert (found.nodes[1].kept[0].picture or "").startswith("data:image/jpeg;base64,")
    assert [point.id for point in found.details[1, 2].farthest] == ["c"]


@pytest.mark.parametrize(
    ("n_bytes", "n_shown"), [(0, 12), (1000, 12), (3000, 12), (6000, 2), (90_000, 1)]
)
def test_heavy_pictures_leave_room_for_fewer(n_bytes: int, n_shown: int) -> None:
    pictures = [None, bytes(n_bytes)] if n_bytes else [None]
    assert fitting(12, pd.DataFrame({"picture": pictures}), 1) == n_shown


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
    assert "the same content" in page


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
            "id": ["b", "d", "c"], "beside_id": ["a", "a", None],
            "reason": ["near duplicate", "near duplicate", "outlier"],
            "detail": ["cosine similarity 0.990", "cosine similarity 0.970", "score 9.1"],
            "group": 0, "place": [0, 1, 0],
        }
    )  # fmt: skip
    looks = pd.DataFrame({"id": ["a", "b"], "text": ["first", "second"], "picture": None})
    (near, (copies,)), (outlier, (alone,)) = turned_away(picked, looks)
    assert near == "near duplicate"
    assert [(point.text or point.id, why) for point, why in copies.points] == [
        ("second", "cosine similarity 0.990"), ("d", "cosine similarity 0.970"),
    ]  # fmt: skip
    assert copies.beside is not None
    assert (copies.beside.id, copies.beside.text) == ("a", "first")
    ((point, _),) = alone.points
    assert (outlier, point.id, point.text, alone.beside) == ("outlier", "c", None, None)
