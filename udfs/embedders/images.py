"""Open images as people see them: turned as EXIF says, transparency on white, 16 bits scaled."""

import contextlib
import os
import struct
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.embedders.contract import Failure, described
from udfs.readers.local import local_path

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# Plain raster formats only: others (EPS) run external programs on the lake's content.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO", "TGA")
KERNEL_FOLDERS = ("/proc/", "/sys/", "/dev/")


def make_open(mode: str) -> Callable[[Any], "PILImage | Failure"]:
    """Return a function: encoded bytes, a local path or a file: URI -> an image, or a Failure.

    Parameters
    ----------
    mode : ``L`` (grey) or ``RGB``
    """
    from PIL import Image

    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]

    def open_image(value: Any) -> "PILImage | Failure":
        if not isinstance(value, bytes | bytearray | str):
            return Failure("undecodable", f"{type(value).__name__} is neither bytes nor a path")
        if len(value) == 0:
            return Failure("empty_content")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(_source(value), formats=formats) as image:
                    return _to_mode(image, mode)
        except MemoryError:
            raise  # the worker's fault, not the image's
        except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error and others
            return Failure("undecodable", described(error))

    return open_image


def _source(value: bytes | bytearray | str) -> BytesIO | str:
    """Return what Pillow opens: the bytes, or the path of a regular file."""
    if not isinstance(value, str):
        return BytesIO(value)
    path = local_path(value)
    # reading a pipe, a device or some of the kernel's files would never end
    if not os.path.isfile(path) or os.path.realpath(path).startswith(KERNEL_FOLDERS):
        raise FileNotFoundError(f"no local file at {path}")
    return path


def _to_mode(image: "PILImage", mode: str) -> "PILImage":
    """Convert the first frame to what people see of it.

    It is turned as its EXIF orientation says, transparency shows white, and 16-bit greys are scaled
    to the range that they fill.
    """
    from PIL import ExifTags, Image, ImageOps

    if image.mode == "F":
        raise ValueError("float pixels have no known range")
    image.load()
    with contextlib.suppress(SyntaxError, ValueError, struct.error):  # EXIF that is broken
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # convert() would clip at 255
        grey = np.asarray(image).astype(np.int64)
        span = max(1, int(np.ptp(grey)))
        scaled = ((grey - grey.min()) * 255 + span // 2) // span
        return Image.fromarray(scaled.astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)
