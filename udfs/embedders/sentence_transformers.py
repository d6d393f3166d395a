"""Embed texts, or images by a model that takes them, with the library sentence-transformers.

Spark shape map: STRING (a text) or BINARY (an encoded image, opened as `images` opens it)
-> (n, n_features) float32.

No code that comes with a model is run: the library refuses models that need any.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udfs.embedders.contract import EmbedderError, Failure
from udfs.embedders.images import make_open
from udfs.embedders.pretrained import Kind, Model, require_positive

OLDEST = 6  # the first version that by default runs no code from a model's folder


@dataclass(frozen=True)
class Options:
    """Keys of ``embed.options``.

    Attributes
    ----------
    batch : rows of one forward pass
    device : such as ``cpu`` or ``cuda:1``; None: a GPU where there is one
    prompt, prompt_name : put before every text; the name is one of the model's own
    max_seq_length : tokens read of a text; None: the model's own
    truncate_dim : components kept, for models trained for that
    revision : for a model on the hub: a branch, a tag or a commit
    """

    batch: int = 32
    device: str | None = None
    prompt: str | None = None
    prompt_name: str | None = None
    max_seq_length: int | None = None
    truncate_dim: int | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        require_positive(self, "batch", "max_seq_length", "truncate_dim")


def load(path: str, options: Options, gpu: int) -> Model:
    """Load a model from a folder or from the hub.

    Raises
    ------
    EmbedderError
        If the library is too old.
    """
    network = _network(path, options, gpu)
    takes_images = network.supports("image")
    # the library would take some texts for the address of an image, and fetch it
    takes_more = any(network.supports(kind) for kind in ("image", "video", "audio"))
    open_image = make_open("RGB")

    def decode(content: Any) -> Any:
        if isinstance(content, bytes | bytearray):
            if takes_images:
                return open_image(content)
            return Failure("undecodable", "bytes, which are no text, and the model takes no images")
        if not isinstance(content, str):
            return Failure("undecodable", f"{type(content).__name__} is neither text nor bytes")
        return {"text": content} if takes_more else content

    def encode(decoded: list[Any]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = network.encode(
            decoded,
            prompt=options.prompt,
            prompt_name=options.prompt_name,
            batch_size=len(decoded),
            show_progress_bar=False,
        )
        return vectors

    return Model(decode, encode, options.batch, _length, _n_bytes, partial(_n_cut, network))


def _network(path: str, options: Options, gpu: int) -> Any:
    """Return the library's model, on the device that it is to run on."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tasks share the cores already
    import sentence_transformers
    from transformers.utils import logging

    version = sentence_transformers.__version__
    if int(version.split(".")[0]) < OLDEST:
        raise EmbedderError(f"sentence-transformers {version} is installed, want {OLDEST} or newer")
    logging.disable_progress_bar()
    network = sentence_transformers.SentenceTransformer(
        path,
        device=options.device or _device(gpu),
        revision=options.revision,
        truncate_dim=options.truncate_dim,
    )
    if options.max_seq_length is not None:
        network.max_seq_length = options.max_seq_length
    return network


def _n_cut(network: Any, contents: Sequence[Any]) -> int:
    """Return how many texts are longer than the model reads."""
    texts = [text for text in contents if isinstance(text, str)]
    limit, tokenize = network.max_seq_length, network.tokenizer
    if not texts or limit is None or not callable(tokenize):
        return 0
    tokens = tokenize(texts, truncation=False, verbose=False)["input_ids"]
    return sum(len(ids) > limit for ids in tokens)


def _length(decoded: Any) -> int:
    text = decoded["text"] if isinstance(decoded, dict) else decoded
    return len(text) if isinstance(text, str) else 0


def _n_bytes(decoded: Any) -> int:
    width, height = getattr(decoded, "size", (0, 0))  # texts have no size
    return 3 * int(width) * int(height)


def _device(gpu: int) -> str | None:
    """Return one of several GPUs; None: the library finds a device itself."""
    import torch

    n_gpus = torch.cuda.device_count()
    return f"cuda:{gpu % n_gpus}" if n_gpus > 1 else None


KIND = Kind("sentence-transformers", Options, load, "models")
