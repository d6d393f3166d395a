"""Embed texts or images with a model in ONNX, by onnxruntime.

Spark shape map: STRING (a text; for a model of images, a local path) or BINARY (an encoded image)
-> (n, n_features) float32.

A model of texts has an input ``input_ids`` and a ``tokenizer.json`` beside it; a model of images
has one input with four axes and a ``preprocessor_config.json``.
"""

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from udfs.embedders.contract import EmbedderError, Failure
from udfs.embedders.images import make_open
from udfs.embedders.preprocessing import FILE as PREPROCESSOR
from udfs.embedders.preprocessing import make_preprocess
from udfs.embedders.pretrained import Kind, Model, n_cores, require_positive
from udfs.embedders.tokenizing import BESIDE as TOKENIZER_FILES
from udfs.embedders.tokenizing import TOKENIZER, Tokenize

_ELEMENTS = {
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32,
    "tensor(float16)": np.float16, "tensor(double)": np.float64,
}  # fmt: skip
_OF_TEXTS = ("input_ids", "attention_mask", "token_type_ids")
_WHOLE = "sentence_embedding"  # the output of models that pool the tokens themselves
BESIDE = (*TOKENIZER_FILES, PREPROCESSOR)

Feed = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Options:
    """Keys of ``embed.options``.

    Attributes
    ----------
    batch : rows of one pass
    device : None: CUDA, the first GPU that is visible, if the installed onnxruntime has it
    output : the output to take; None: ``sentence_embedding``, or else the first
    pooling : of an output with a vector per token or patch: their ``mean`` (of the tokens that are
        no padding) or the first one, ``cls``; ``none``: refuse such an output
    max_seq_length : tokens read of a text; None: what the files beside the model say
    """

    batch: int = 32
    device: Literal["cpu", "cuda"] | None = None
    output: str | None = None
    pooling: Literal["mean", "cls", "none"] = "mean"
    max_seq_length: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        require_positive(self, "batch", "max_seq_length")


def find(place: str) -> Path:
    """Return the model's file, given itself or a folder.

    Raises
    ------
    EmbedderError
    """
    path = Path(place)
    tried = [path] if path.is_file() else [path / "model.onnx", path / "onnx" / "model.onnx"]
    for file in tried:
        if file.is_file():
            return file
    raise EmbedderError(f"there is no file {place}, nor a model.onnx in a folder of that name")


def beside(file: Path, name: str) -> Path | None:
    """Return a file beside a model, or beside the folder ``onnx`` that it is in."""
    folders = [file.parent, *([file.parent.parent] if file.parent.name == "onnx" else [])]
    return next((f / name for f in folders if (f / name).is_file()), None)


def load(place: str, options: Options, gpu: int = 0) -> Model:
    """Load a model.

    Raises
    ------
    EmbedderError
        If the model's inputs or outputs are of another kind, or what must lie beside it is missing.
    """
    file = find(place)
    run = _Session(file, options)
    names = list(run.inputs)
    if "input_ids" in names and set(names) <= set(_OF_TEXTS):
        return _of_texts(file, run, options)
    if len(names) == 1 and len(run.inputs[names[0]].shape) == 4:
        return _of_images(file, run, options)
    raise EmbedderError(
        f"{file} has the inputs {', '.join(names)}; want {', '.join(_OF_TEXTS)} (texts), or one "
        "input with four axes (images)"
    )


class _Session:
    """An onnxruntime session, and the output to take from it."""

    def __init__(self, file: Path, options: Options) -> None:
        import onnxruntime

        told = onnxruntime.SessionOptions()
        told.intra_op_num_threads = n_cores()
        told.inter_op_num_threads = 1
        told.log_severity_level = 3  # errors
        providers: list[Any] = ["CPUExecutionProvider"]
        has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        if options.device == "cuda" or (options.device is None and has_cuda):
            providers.insert(0, "CUDAExecutionProvider")
        self._session = onnxruntime.InferenceSession(str(file), told, providers=providers)
        self.inputs = {node.name: node for node in self._session.get_inputs()}
        outputs = [node.name for node in self._session.get_outputs()]
        self._output = options.output or (_WHOLE if _WHOLE in outputs else outputs[0])
        if self._output not in outputs:
            raise EmbedderError(
                f"{file} has no output {self._output}; set embed.options.output to one of "
                f"{', '.join(outputs)}"
            )
        self._pooling = options.pooling

    def __call__(self, feed: Feed, mask: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """Return the pooled output : (n, n_features).

        Parameters
        ----------
        mask : (n, n_tokens), 0 where there is padding
        """
        typed = {
            name: value.astype(_ELEMENTS[self.inputs[name].type]) for name, value in feed.items()
        }
        (given,) = self._session.run([self._output], typed)
        output = np.asarray(given, np.float32)
        if output.ndim == 2:
            return output
        if output.ndim == 4:  # (n, n_features, height, width)
            output = output.reshape(*output.shape[:2], -1).transpose(0, 2, 1)
        if output.ndim != 3 or self._pooling == "none":
            raise EmbedderError(
                f"the output {self._output} has the shape {output.shape}; want (n, n_features): "
                "set embed.options.output or embed.options.pooling"
            )
        if self._pooling == "cls":
            return np.ascontiguousarray(output[:, 0])
        weights = np.ones(output.shape[:2], np.float32) if mask is None else mask.astype(np.float32)
        sums = np.einsum("ntf,nt->nf", output, weights)
        means: NDArray[np.float32] = sums / np.maximum(weights.sum(axis=1, keepdims=True), 1)
        return means


def _of_texts(file: Path, run: _Session, options: Options) -> Model:
    found = {name: path for name in TOKENIZER_FILES if (path := beside(file, name))}
    if TOKENIZER not in found:
        raise EmbedderError(f"there is no {TOKENIZER} beside {file}; put it there")
    tokenize = Tokenize(found, options.max_seq_length)
    n_rows, length = _fixed(run, "input_ids")

    def encode(texts: list[str]) -> NDArray[np.float32]:
        feed = tokenize.padded(tokenize(texts), n_rows, length)
        pooled = run({name: feed[name] for name in run.inputs}, feed["attention_mask"])
        return pooled[: len(texts)]

    def decode(content: Any) -> str | Failure:
        if not isinstance(content, str):
            return Failure("undecodable", f"{type(content).__name__} is no text")
        return content

    return Model(decode, encode, n_rows or options.batch, length=len, n_cut=tokenize.n_cut)


def _of_images(file: Path, run: _Session, options: Options) -> Model:
    path = beside(file, PREPROCESSOR)
    if path is None:
        raise EmbedderError(f"there is no {PREPROCESSOR} beside {file}; put it there")
    preprocess, open_image = make_preprocess(path), make_open("RGB")
    ((name, node),) = run.inputs.items()
    n_rows, is_last = _fixed(run, name)[0], node.shape[3] == 3

    def encode(images: list[Any]) -> NDArray[np.float32]:
        pixels = np.stack(images)  # (n, 3, height, width)
        if n_rows:
            pixels = np.resize(pixels, (n_rows, *pixels.shape[1:]))
        return run({name: pixels.transpose(0, 2, 3, 1) if is_last else pixels})[: len(images)]

    def decode(content: Any) -> Any:
        image = open_image(content)
        return image if isinstance(image, Failure) else preprocess(image)

    return Model(decode, encode, n_rows or options.batch, n_bytes=attrgetter("nbytes"))


def _fixed(run: _Session, name: str) -> tuple[int | None, int | None]:
    """Return the first two sizes of an input, None where a model leaves them open."""
    rows, length = (n if isinstance(n, int) else None for n in run.inputs[name].shape[:2])
    return rows, length


KIND = Kind("onnx", Options, load, "onnx")
