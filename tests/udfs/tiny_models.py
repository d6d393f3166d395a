"""Tiny models in ONNX, with random weights, as exporters write them."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["[PAD]", "[UNK]", "sun", "moon", "sea", "sand", "bad"]
N_FEATURES = 6
IMAGE_SIZE = 8
PREPROCESSOR = {
    "do_resize": True,
    "size": {"shortest_edge": 10},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.25, 0.3],
}


def table(seed: int) -> np.ndarray:
    """Return the vectors of all words but the last, which has none: the model fails on it."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(len(WORDS) - 1, N_FEATURES)).astype(np.float32)


def write_text_model(folder: Path, seed: int = 0) -> Path:
    """Write a model that looks up a vector per token, and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"]),
        helper.make_node("Cast", ["attention_mask"], ["read"], to=TensorProto.FLOAT),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "t", "f"]),
        helper.make_tensor_value_info("read", TensorProto.FLOAT, ["n", "t"]),
    ]
    _save(folder, nodes, inputs, outputs, numpy_helper.from_array(table(seed), "table"))
    words = models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=7)  # as some are saved; not to be followed
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 5}))
    return folder


def vectors_of(texts: list[str], seed: int = 0, max_length: int = 5) -> np.ndarray:
    """Return the same means worked out here : (n, N_FEATURES)."""
    ids = [[max(1, WORDS.index(w)) for w in text.split()][:max_length] for text in texts]
    return np.stack([table(seed)[row].mean(axis=0) for row in ids])


def weights(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3 * IMAGE_SIZE**2, N_FEATURES)).astype(np.float32)


def write_image_model(folder: Path, seed: int = 0) -> Path:
    """Write a model that projects pixels, and what it wants done to images before."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["image_embeds"]),
    ]
    shape = ["n", 3, IMAGE_SIZE, IMAGE_SIZE]
    inputs = [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", N_FEATURES])]
    _save(folder, nodes, inputs, outputs, numpy_helper.from_array(weights(seed), "weights"))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


def _save(folder: Path, nodes: list, inputs: list, outputs: list, constant: object) -> None:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [constant])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, str(folder / "model.onnx"))


def photo(seed: int, size: tuple[int, int] = (14, 12), turned: bool = False) -> bytes:
    """Return a PNG of random colours; turned: stored on its side, and marked so."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image, buffer, exif = Image.fromarray(pixels), BytesIO(), Image.Exif()
    if turned:
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[0x0112] = 6  # to be turned by 270 degrees
    image.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content)).convert("RGB")
