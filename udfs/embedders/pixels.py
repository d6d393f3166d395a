"""Embed images by their pixels: decode, shrink to a small square, project by PCA.

This tells scans, drawings, digits and near-copies apart. It does not find what a photograph shows:
on CIFAR-10, balance over it gained nothing over a uniform sample (KL of the classes .69, uniform
.65, at 1,000 picks). A pretrained model does.

Spark shape map: BINARY (an encoded image) or STRING (a local path or file: URI)
-> (n, n_components) float32.

`fit` runs once, on the driver. Rounding hides how its eigenvectors depend on the machine (eight
settings of OpenBLAS gave equal arrays) unless variances coincide, so its arrays must be kept.
With the same arrays, an image gets the same vector, bit for bit, in any batch and with any
BLAS: a pixel takes 8 bits, a component (at most 1, in units of 2^-20) 20, and 2^12 of their
products are added, so that every sum fits 8 + 20 + 12 = 40 of float64's 53 bits and is exact in
any order; subtracting the offset (the mean's projection, in the same unit) takes one more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from udfs.embedders.contract import Embedded, Embedder, Failure, embed_decoded
from udfs.embedders.images import make_open
from udfs.embedders.specs import Arrays, EmbedderSpec
from udfs.embedders.specs import n_components as length_of

CHANNELS = {"L": 1, "RGB": 3}
MAX_VALUES = 2**12  # per shrunken image; the covariance then takes 128 MiB
COMPONENT_UNIT = 2.0**-20
MIN_VARIANCE = 1e-9  # relative to the largest; below it a direction is rounding noise
CHUNK_IMAGES = 1024  # images widened to float64 at a time

Decode = Callable[[Any], NDArray[np.uint8] | Failure]


def fit(
    images: Sequence[bytes | str | None], *, n_components: int, size: int, mode: str, seed: int
) -> dict[str, NDArray[Any]]:
    """Learn the projection from a sample of images: the eigenvectors of their covariance.

    Parameters
    ----------
    images : encoded bytes or paths; those that cannot be embedded are skipped
    n_components : the most to keep; few images, or images much alike, span fewer
    size : pixels per side after shrinking
    mode : ``L`` (grey) or ``RGB``
    seed : unused, as nothing is drawn here; accepted so that both fits are called alike

    Returns
    -------
    dict
        ``components`` (n_values, n_kept) float32, ``offset`` (n_kept,) float64, ``size`` () int64
        and ``mode`` () str, where n_values = size * size * channels.

    Raises
    ------
    ValueError
        If an option is out of range, or fewer than two different images are usable.
    """
    if n_components < 1:
        raise ValueError(f"n_components={n_components} should be >= 1")
    decode = _make_decode(size, mode)
    return fit_decoded([*map(decode, images)], n_components=n_components, size=size, mode=mode)


def fit_decoded(
    images: Sequence[NDArray[np.uint8] | Failure], *, n_components: int, size: int, mode: str
) -> dict[str, NDArray[Any]]:
    """Learn the projection from images that are decoded and shrunken already; see `fit`."""
    from scipy.linalg import eigh  # runs only on the driver

    decoded = [image for image in images if not isinstance(image, Failure)]
    mean, covariance = _mean_and_covariance(decoded, count_values(size, mode))
    largest = (max(0, len(mean) - n_components), len(mean) - 1)
    variances, axes = eigh(covariance, subset_by_index=largest, check_finite=False)  # ascending
    if not variances[-1] > 0:
        raise ValueError(
            f"of the {len(images)} images to fit on {len(decoded)} are usable, and no two of "
            "these differ; give a larger sample or check the column"
        )
    n_kept = int((variances > MIN_VARIANCE * variances[-1]).sum())
    components = np.rint(axes[:, : -n_kept - 1 : -1] / COMPONENT_UNIT) * COMPONENT_UNIT
    heaviest = np.abs(components).argmax(axis=0)  # (n_kept,); made positive, to fix the signs
    components *= np.sign(components[heaviest, np.arange(n_kept)])  # (n_values, n_kept)
    offset = np.rint(mean @ components / COMPONENT_UNIT) * COMPONENT_UNIT
    return {
        "components": (components + 0.0).astype(np.float32),  # -0.0 is noise
        "offset": offset + 0.0,
        "size": np.array(size, dtype=np.int64),
        "mode": np.array(mode),
    }


def make_embedder(arrays: Mapping[str, NDArray[Any]]) -> Embedder:
    """Return an embedder of images from what `fit` returned.

    Raises
    ------
    ValueError
        If the arrays do not have the shapes that `fit` returns.
    """
    size, mode = int(arrays["size"]), str(arrays["mode"])
    components = arrays["components"].astype(np.float64)
    offset = arrays["offset"]
    n_values = count_values(size, mode)
    if components.ndim != 2 or len(components) != n_values or offset.shape != components.shape[1:]:
        raise ValueError(
            f"components {components.shape} and offset {offset.shape} should be "
            f"({n_values}, n_components) and (n_components,) for size={size}, mode={mode!r}"
        )
    decode = _make_decode(size, mode)

    def project(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        X = np.stack(images).astype(np.float64)  # (n, n_values)
        projected: NDArray[np.float64] = X @ components - offset  # (n, n_components), exact
        return projected.astype(np.float32)

    def embed(values: pd.Series) -> Embedded:
        return embed_decoded(values, decode, project, components.shape[1])

    return embed


def count_values(size: int, mode: str) -> int:
    """Return how many numbers a shrunken image holds.

    Raises
    ------
    ValueError
        If the mode is unknown, or the size is below 2 or gives more than MAX_VALUES values.
    """
    if mode not in CHANNELS:
        raise ValueError(f"mode={mode!r} should be one of {', '.join(CHANNELS)}")
    n_values = size * size * CHANNELS[mode]
    if size < 2 or n_values > MAX_VALUES:
        most = _largest_size(mode)
        raise ValueError(f"size={size} should be between 2 and {most} with mode={mode!r}")
    return n_values


def _largest_size(mode: str) -> int:
    return int((MAX_VALUES // CHANNELS[mode]) ** 0.5)


def _mean_and_covariance(
    images: list[NDArray[np.uint8]], n_values: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n_values,) and (n_values, n_values); the sums are exact up to 2^18 images."""
    gram = np.zeros((n_values, n_values))
    total = np.zeros(n_values)
    for start in range(0, len(images), CHUNK_IMAGES):
        X = np.stack(images[start : start + CHUNK_IMAGES]).astype(np.float64)
        gram += X.T @ X
        total += X.sum(axis=0)
    n = max(len(images), 1)
    return total / n, (n * gram - np.outer(total, total)) / n**2


def _make_decode(size: int, mode: str) -> Decode:
    """Return a function: one value -> its (size * size * channels,) pixels, or a Failure."""
    from PIL import Image

    count_values(size, mode)
    open_image, n_channels = make_open(mode), CHANNELS[mode]

    def decode(value: Any) -> NDArray[np.uint8] | Failure:
        image = open_image(value)
        if isinstance(image, Failure):
            return image
        if image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.frombuffer(image.tobytes(), np.uint8)  # (size * size * channels,)
        if (pixels[n_channels:] == pixels[:-n_channels]).all():
            first = ", ".join(map(str, pixels[:n_channels]))
            return Failure("constant", f"every pixel is {first}")
        return pixels

    return decode


@dataclass(frozen=True)
class Options:
    """Keys of ``embed``."""

    n_components: int
    fit_rows: int
    image_size: int
    image_mode: str

    def __post_init__(self) -> None:
        """Reject image sizes with more values than a covariance is computed for."""
        most = _largest_size(self.image_mode)
        if self.image_size > most:
            raise ValueError(
                f"image_size={self.image_size} exceeds {most}, the most in colour; "
                "lower it or set image_mode: L"
            )


def _reduce(image: bytes | str, options: Options) -> bytes | None:
    pixels = _decode_for(options.image_size, options.image_mode)(image)
    return None if isinstance(pixels, Failure) else pixels.tobytes()


@cache
def _decode_for(size: int, mode: str) -> Decode:
    return _make_decode(size, mode)


def _fit(images: Sequence[bytes | None], options: Options, seed: int) -> Arrays:
    no_image = Failure("undecodable")
    return fit_decoded(
        [no_image if pixels is None else np.frombuffer(pixels, np.uint8) for pixels in images],
        n_components=options.n_components,
        size=options.image_size,
        mode=options.image_mode,
    )


SPEC = EmbedderSpec(
    name="pixels",
    opens_paths=True,
    makes="image",
    options=Options,
    reduce=_reduce,
    fit=_fit,
    make=make_embedder,
    n_features=length_of,
    n_expected=attrgetter("n_components"),
    version="2",  # 1 took images as they are stored: unturned, without their transparency
)
