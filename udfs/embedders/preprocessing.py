"""What a model's ``preprocessor_config.json`` asks for: resize, crop, scale, normalise.

The keys are those of Hugging Face's image processors; unknown ones are refused.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from udfs.embedders.contract import EmbedderError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

FILE = "preprocessor_config.json"
_BILINEAR = 2  # Pillow's number, and the processors' default
_SCALE = 1 / 255
_CHANGING = ("crop_pct", "do_pad", "do_split_image", "do_thumbnail", "do_align_long_axis")


def make_preprocess(path: Path) -> Callable[["PILImage"], NDArray[np.float32]]:
    """Return a function: an RGB image -> (3, height, width) float32.

    Raises
    ------
    EmbedderError
        If the file asks for what is not known here.
    """
    said: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    unknown = [key for key in _CHANGING if said.get(key)]
    if unknown:
        raise EmbedderError(
            f"{path} has {unknown[0]}, which Evenlake does not know; write your own factory "
            "(embed.model: python:package.module:factory)"
        )
    resample = said.get("resample", _BILINEAR)
    size = _size(said, "size", path) if said.get("do_resize", True) else None
    crop = _size(said, "crop_size", path) if said.get("do_center_crop") else None
    scale = said.get("rescale_factor", _SCALE) if said.get("do_rescale", True) else 1.0
    mean, deviation = np.zeros(3, np.float32), np.ones(3, np.float32)
    if said.get("do_normalize", True):
        mean = np.asarray(said["image_mean"], np.float32)
        deviation = np.asarray(said["image_std"], np.float32)

    def preprocess(image: "PILImage") -> NDArray[np.float32]:
        if size is not None:
            image = image.resize(_resized(image.size, size), resample)
        if crop is not None:
            image = _cropped(image, *crop["wh"])
        pixels = np.asarray(image, np.float32) * np.float32(scale)  # (height, width, 3)
        return np.ascontiguousarray(((pixels - mean) / deviation).transpose(2, 0, 1))

    return preprocess


def _size(said: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """Return ``{"wh": (width, height)}`` or ``{"shortest": pixels}``."""
    given = said.get(key)
    if isinstance(given, int):  # the format of early processors
        given = {"shortest_edge": given} if key == "size" and said.get("do_center_crop") else {
            "height": given, "width": given,
        }  # fmt: skip
    if isinstance(given, Mapping) and {"height", "width"} <= given.keys():
        return {"wh": (int(given["width"]), int(given["height"]))}
    if key == "size" and isinstance(given, Mapping) and given.keys() == {"shortest_edge"}:
        return {"shortest": int(given["shortest_edge"])}
    raise EmbedderError(
        f"{path} has {key}={given!r}; want height and width, or a size's shortest_edge"
    )


def _resized(size: tuple[int, int], wanted: Mapping[str, Any]) -> tuple[int, int]:
    """Return (width, height) after resizing."""
    if "wh" in wanted:
        width, height = wanted["wh"]
        return width, height
    shortest, (width, height) = wanted["shortest"], size
    if width <= height:
        return shortest, int(shortest * height / width)
    return int(shortest * width / height), shortest


def _cropped(image: "PILImage", width: int, height: int) -> "PILImage":
    """Cut out the centre; what lies outside the image is black."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
