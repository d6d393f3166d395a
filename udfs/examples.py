"""Examples to look at: small pictures of images, the beginnings of texts."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pyarrow as pa

from udfs.embedders.contract import Failure
from udfs.embedders.images import make_open

EXAMPLES_SCHEMA = "id {id}, text string, picture binary"
PICTURE_SIZE = 112  # pixels, of the longer side
TEXT_LENGTH = 1000  # characters

Batches = Iterator[pa.RecordBatch]


def make_examples(*, opens_paths: bool) -> Callable[[Batches], Batches]:
    """Return a function for mapInArrow: id, value -> id, text, picture (JPEG).

    What is neither text nor image is null.

    Parameters
    ----------
    opens_paths : whether strings are paths of images
    """

    def examples(batches: Batches) -> Batches:
        picture = _make_picture()
        for batch in batches:
            shown = [_shown(value.as_py(), picture, opens_paths) for value in batch.column("value")]
            texts, pictures = zip(*shown, strict=True) if shown else ((), ())
            columns = [
                batch.column("id"),
                pa.array(texts, pa.string()),
                pa.array(pictures, pa.binary()),
            ]
            yield pa.RecordBatch.from_arrays(columns, names=["id", "text", "picture"])

    return examples


def _shown(
    value: Any, picture: Callable[[Any], bytes | None], opens_paths: bool
) -> tuple[str | None, bytes | None]:
    if value is None:
        return None, None
    if isinstance(value, str) and not opens_paths:
        return value[:TEXT_LENGTH], None
    if (found := picture(value)) is not None or isinstance(value, str):
        return None, found
    try:
        return bytes(value).decode()[:TEXT_LENGTH], None
    except UnicodeDecodeError:
        return None, None


def _make_picture() -> Callable[[Any], bytes | None]:
    """Return a function that makes an image small; it makes none where Pillow is missing."""
    try:
        open_image = make_open("RGB")
    except ImportError:
        return lambda value: None

    def picture(value: Any) -> bytes | None:
        image = open_image(value)
        if isinstance(image, Failure):
            return None
        image.thumbnail((PICTURE_SIZE, PICTURE_SIZE))
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=80)
        return buffer.getvalue()

    return picture
