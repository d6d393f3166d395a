"""Views of contents on the executors: images cropped, mirrored, with noise; texts with gaps.

Spark shape map: (STRING or BINARY content, BIGINT seed) -> BINARY of a PNG, or STRING; null if the
content cannot be read. A view depends on its content and seed alone.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]  # its stub lacks it

from udfs.embedders.contract import Failure
from udfs.embedders.images import make_open

LEAST_CROPPED = 0.8  # of the length of a side
PIXEL_NOISE = 8.0  # standard deviation, of 255
LEFT_OUT = 0.3  # share of a text's words
Augment = Callable[[Any, np.random.Generator], Any]


def make_augment(kind: str, mode: str) -> Any:
    """Return a UDF: (content, seed) -> a view of it.

    Parameters
    ----------
    kind : ``image`` or ``text``
    mode : mode of images, ``L`` or ``RGB``
    """

    def views(contents: pd.Series, seeds: pd.Series) -> pd.Series:
        augment = make_image_view(mode) if kind == "image" else text_view
        found = [
            None if content is None else augment(content, np.random.default_rng(seed % 2**64))
            for content, seed in zip(contents, seeds.tolist(), strict=True)
        ]
        return pd.Series(found, dtype=object)

    views.__annotations__ = {"contents": pd.Series, "seeds": pd.Series, "return": pd.Series}
    return pandas_udf(views, "binary" if kind == "image" else "string").asNondeterministic()


def make_image_view(mode: str) -> Augment:
    """Return the function that crops an image, mirrors it half of the time, and adds noise."""
    from PIL import Image

    open_image = make_open(mode)

    def view(content: Any, rng: np.random.Generator) -> bytes | None:
        image = open_image(content)
        if isinstance(image, Failure):
            return None
        pixels = np.asarray(image)
        height, width = pixels.shape[:2]
        share = rng.uniform(LEAST_CROPPED, 1)
        rows, columns = max(1, round(share * height)), max(1, round(share * width))
        top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
        cut = pixels[top : top + rows, left : left + columns].astype(np.float64)
        if rng.random() < 0.5:
            cut = cut[:, ::-1]
        noisy = np.rint(cut + PIXEL_NOISE * rng.standard_normal(cut.shape)).clip(0, 255)
        written = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(written, "PNG", compress_level=1)
        return written.getvalue()

    return view


def text_view(content: Any, rng: np.random.Generator) -> str | None:
    """Leave words out of a text; of one without spaces, characters. One is always left."""
    try:
        text = content if isinstance(content, str) else bytes(content).decode()
    except UnicodeDecodeError:
        return None
    words = text.split()
    between = " "
    if len(words) == 1:
        words, between = [*words[0]], ""
    if not words:
        return text
    stays = rng.random(len(words)) >= LEFT_OUT
    stays[rng.integers(len(words))] = True
    return between.join(word for word, is_kept in zip(words, stays, strict=True) if is_kept)
