"""Vectors as bytes: the encodings that can be declared, and which of them some bytes may be.

Bytes do not say what they are: float64 read as float32 is twice as many components of noise. So an
encoding that nobody declared is taken for float32 only if nothing speaks against it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Stored types, little-endian unless named _be. bfloat16, which NumPy lacks, is the upper half of
# a float32.
DTYPES: dict[str, str] = {
    "float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2", "int8": "i1",
    "uint8": "u1", "float32_be": ">f4", "float64_be": ">f8", "float16_be": ">f2",
}  # fmt: skip
FLOAT32 = "float32"
_USUAL = (1e-8, 1e8)  # magnitudes of nearly all components of embeddings
_USUAL_HALVES = (1e-4, 1e3)  # for float16, whose whole range is hardly wider than the above
_NEARLY_ALL = 0.95


def n_bytes(encoding: str) -> int:
    """Return the bytes of one component."""
    return np.dtype(DTYPES[encoding]).itemsize


def decode(content: bytes | bytearray, encoding: str) -> NDArray[np.number]:
    """Return the components that bytes hold : (n_features,), in a type of NumPy's own."""
    stored = np.frombuffer(content, dtype=DTYPES[encoding])
    if encoding == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored


def looks_like(contents: Sequence[bytes], encoding: str) -> bool:
    """Return whether some vectors, decoded, have the magnitudes of embeddings.

    Integers of one byte can be anything: they never do.
    """
    size = n_bytes(encoding)
    if size == 1:
        return False
    whole = [content for content in contents if content and len(content) % size == 0]
    if not whole:
        return False
    smallest, largest = _USUAL_HALVES if encoding.startswith("float16") else _USUAL
    components = np.concatenate([decode(content, encoding) for content in whole])
    magnitudes = np.abs(components[components != 0])
    is_usual = (magnitudes >= smallest) & (magnitudes <= largest)  # false for NaN
    return bool(is_usual.any() and is_usual.mean() >= _NEARLY_ALL)


def is_float32(contents: Sequence[bytes]) -> bool:
    """Return whether nothing speaks against some bytes being float32, little-endian.

    Pairs of half-precision numbers can look like it. But the lower half of a float32 is noise, or
    zero where numbers are round: it has no magnitudes of its own. Round numbers in float64 look
    like float32 of which every second one is zero.
    """
    if not looks_like(contents, FLOAT32):
        return False
    words = [np.frombuffer(content, "<u4") for content in contents if len(content) % 4 == 0]
    if not np.concatenate([word[::2] for word in words]).any():
        return not any(len(word) % 2 == 0 and word.any() for word in words)
    lower = [np.concatenate(words).astype("<u2").tobytes()]
    return not any(looks_like(lower, kind) for kind in ("float16", "bfloat16"))


def likely(contents: Sequence[bytes]) -> list[str]:
    """Return the encodings other than float32 that some bytes look like, the likeliest first."""
    return [kind for kind in DTYPES if kind != FLOAT32 and looks_like(contents, kind)]
