"""Pretrained models: vectors as the model returns them, in order; rows it fails on are rejects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.udfs import tiny_models
from udfs.embedders import onnx, pretrained
from udfs.embedders.contract import Embedded, EmbedderError, Failure
from udfs.embedders.preprocessing import make_preprocess
from udfs.embedders.pretrained import Here, Model, Place, encoded, spec_of

HERE = Here(unpacked=lambda name: None, own_gpu=lambda: 0)
TEXTS = ["sun", "moon sea sand sun", "sea sand", "sun sun moon", "[UNK] [UNK]", "moon"]


def embed(place: Path, values: list[object], **options: Any) -> Embedded:
    """Embed some values with a model in ONNX, as a worker does."""
    told = onnx.Options(**options)
    spec = spec_of(onnx.KIND, Place(str(place), "nowhere"), told, "v", lambda: "", HERE)
    assert spec.fit is not None
    arrays = spec.fit([value for value in values if value is not None], told, 0)
    return spec.make(arrays)(pd.Series(values, dtype=object))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return tiny_models.write_text_model(tmp_path / "texts")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tiny_models.write_image_model(tmp_path / "images")


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_texts_get_the_means_of_their_tokens_in_their_own_order(texts: Path, batch: int) -> None:
    embedded = embed(texts, TEXTS, batch=batch)
    np.testing.assert_allclose(embedded.vectors, tiny_models.vectors_of(TEXTS), atol=1e-6)


def test_a_row_that_the_model_fails_on_is_a_reject_and_the_others_are_not(texts: Path) -> None:
    embedded = embed(texts, ["sun", "a bad one", None, "", b"sun", "sea", "bad"])
    assert embedded.reasons.tolist() == [
        None, "undecodable", "null_content", "empty_content", "undecodable", None, "undecodable",
    ]  # fmt: skip
    assert "out of data bounds" in embedded.details[1]
    assert embedded.details[4] == "bytes is no text"
    found = embedded.vectors[[0, 5]]
    np.testing.assert_allclose(found, tiny_models.vectors_of(["sun", "sea"]), atol=1e-6)


@pytest.mark.parametrize(
    ("told", "options", "read"), [(None, {}, 5), (3, {}, 3), (3, {"max_seq_length": 4}, 4)]
)
def test_a_text_is_read_up_to_the_length_that_is_told(
    texts: Path, told: int | None, options: dict[str, int], read: int
) -> None:
    if told is not None:  # before what tokenizer_config.json says
        path = texts / "sentence_bert_config.json"
        path.write_text(json.dumps({"max_seq_length": told}))
    long = ["sun sun sun sea moon sand"]
    found = embed(texts, long, **options).vectors
    np.testing.assert_allclose(found, tiny_models.vectors_of(long, max_length=read), atol=1e-6)


def test_texts_that_are_cut_are_told_once(texts: Path, caplog: pytest.LogCaptureFixture) -> None:
    embed(texts, ["sun", "sea " * 6])
    (said,) = [r.getMessage() for r in caplog.records if "only the beginning" in r.getMessage()]
    assert "1 of 2 texts" in said


def test_the_first_token_and_the_folder_onnx(texts: Path) -> None:
    (texts / "onnx").mkdir()
    (texts / "model.onnx").rename(texts / "onnx" / "model.onnx")
    found = embed(texts, TEXTS, pooling="cls").vectors  # tokenizer.json is one folder up
    first = [text.split()[0] for text in TEXTS]
    np.testing.assert_allclose(found, tiny_models.vectors_of(first), atol=1e-6)


# --- images ---------------------------------------------------------------------------------------


def seen(image: Image.Image) -> np.ndarray:
    """Return what the model should see of an image of 14 x 12: its shorter side 10, its centre."""
    small = image.resize((11, 10), Image.Resampling.BICUBIC)
    middle = np.asarray(small, np.float64)[1:9, 1:9] / 255
    told = tiny_models.PREPROCESSOR
    return ((middle - told["image_mean"]) / told["image_std"]).transpose(2, 0, 1)


@pytest.mark.parametrize("batch", [2, 32])
def test_images_are_prepared_as_the_file_beside_the_model_says(images: Path, batch: int) -> None:
    photos = [tiny_models.photo(i) for i in range(5)]
    embedded = embed(images, [*photos[:2], b"no image", *photos[2:]], batch=batch)
    assert embedded.reasons.tolist() == [None, None, "undecodable", None, None, None]
    found = np.delete(embedded.vectors, 2, axis=0)
    pixels = np.stack([seen(tiny_models.opened(photo)).ravel() for photo in photos])
    np.testing.assert_allclose(found, pixels @ tiny_models.weights(0), rtol=1e-4, atol=1e-4)


def test_a_photo_on_its_side_gets_the_vector_of_the_upright_one(images: Path) -> None:
    upright, turned = (tiny_models.photo(3, turned=is_turned) for is_turned in (False, True))
    vectors = embed(images, [upright, turned]).vectors
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_few_decoded_images_are_held_at_once(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [tiny_models.photo(i) for i in range(5)]
    at_once = embed(images, photos).vectors
    monkeypatch.setattr(pretrained, "HELD_BYTES", 2 * 4 * 3 * tiny_models.IMAGE_SIZE**2)
    sizes: list[int] = []
    model = pretrained.load(onnx.KIND, str(images), onnx.Options())
    counted = model._replace(encode=lambda got: sizes.append(len(got)) or model.encode(got))
    groups = [group for group in pretrained._groups(counted, photos)]
    assert sizes == [2, 2, 1]
    np.testing.assert_allclose(np.concatenate(groups), at_once, rtol=1e-5)


@pytest.mark.parametrize(
    ("said", "size", "want"),
    [
        ({"size": 4, "do_center_crop": False}, (9, 6), (4, 4)),
        ({"size": 4, "crop_size": 2}, (9, 6), (2, 2)),
        ({"size": {"height": 4, "width": 5}, "do_center_crop": False}, (9, 6), (4, 5)),
        ({"do_resize": False, "crop_size": {"height": 8, "width": 8}}, (9, 6), (8, 8)),
        ({"do_resize": False, "do_center_crop": False}, (9, 6), (6, 9)),
    ],
)
def test_sizes_are_written_in_several_ways(
    tmp_path: Path, said: dict[str, object], size: tuple[int, int], want: tuple[int, int]
) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(tiny_models.PREPROCESSOR | said))
    assert make_preprocess(path)(Image.new("RGB", size)).shape == (3, *want)


# --- what fails -----------------------------------------------------------------------------------


def test_halves_are_tried_until_the_row_that_fails_is_alone() -> None:
    asked: list[list[int]] = []

    def encode(rows: list[int]) -> np.ndarray:
        asked.append(rows)
        return np.array([[1 / row] for row in rows])

    found = encoded(Model(lambda row: row, encode, 4), [1, 2, 0, 4])
    assert asked == [[1, 2, 0, 4], [1, 2], [0, 4], [0], [4]]
    assert found[2] == Failure("undecodable", "ZeroDivisionError: division by zero")
    assert [float(found[i][0]) for i in (0, 1, 3)] == [1, 0.5, 0.25]


def test_one_row_too_many_for_a_gpu_is_the_machines_fault() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    def encode(rows: list[int]) -> np.ndarray:
        raise OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryError, match="CUDA"):
        encoded(Model(lambda row: row, encode, 2), [1, 2])


def wrong(folder: Path, what: str) -> None:
    if what == "no model":
        (folder / "model.onnx").unlink()
    elif what == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif what == "no protobuf":
        (folder / "model.onnx").write_bytes(b"not one")


@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        ("no model", {}, "there is no file .*texts, nor a model.onnx in a folder of that name"),
        ("no tokenizer", {}, "there is no tokenizer.json beside .*model.onnx; put it there"),
        ("no protobuf", {}, "texts cannot be loaded: InvalidProtobuf: "),
        ("", {"output": "x"}, "no output x; set .*output to one of last_hidden_state, read$"),
        ("", {"pooling": "none"}, "the output last_hidden_state has the shape .*pooling"),
    ],
)
def test_a_model_that_will_not_do_is_told(
    texts: Path, what: str, options: dict[str, object], said: str
) -> None:
    wrong(texts, what)
    with pytest.raises(EmbedderError, match=said):
        embed(texts, TEXTS, **options)


def test_no_content_at_all_that_the_model_takes_is_told(texts: Path) -> None:
    with pytest.raises(EmbedderError, match=r"none of the 2 contents .*\(bytes is no text\)"):
        embed(texts, [b"a", b"b"])


def test_a_preprocessor_that_asks_for_more_is_refused(images: Path) -> None:
    told = tiny_models.PREPROCESSOR | {"crop_pct": 0.9}
    (images / "preprocessor_config.json").write_text(json.dumps(told))
    with pytest.raises(EmbedderError, match="crop_pct, which Evenlake does not know"):
        embed(images, [tiny_models.photo(0)])
