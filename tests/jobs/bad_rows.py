"""The catalogue of bad rows and how each is handled. BAD_INPUT.md is made from this."""

import io
import struct
import zlib
from typing import Any, NamedTuple
from unittest.mock import ANY

import numpy as np
from PIL import Image

N_GOOD = 40  # rows in every pool besides those below


class Bad(NamedTuple):
    """A row that cannot be embedded, and its row of ``rejects``; a null id stands for several."""

    value: Any
    id: Any
    reason: str
    detail: Any = None
    what: str = ""


class Taken(NamedTuple):
    """A row that looks odd and is embedded all the same."""

    value: Any
    id: Any
    what: str


LINES = [  # JSON; the good ones have four numbers
    Bad('{"id": "null", "vector": null}', "null", "null_content", None, "no vector"),
    Bad('{"id": "no key"}', "no key", "null_content", None, "no such key in the line"),
    Bad('{"id": "nan", "vector": [1, NaN, 3, 4]}', "nan", "nan", "nan at index 1", "a NaN"),
    Bad('{"id": "inf", "vector": [Infinity, 2, 3, 4]}', "inf", "inf", "inf at index 0", "infinity"),
    Bad('{"id": "-inf", "vector": [1, 2, 3, -Infinity]}', "-inf", "inf", "inf at index 3", "-inf"),
    Bad(
        '{"id": "hole", "vector": [1, 2, null, 4]}', "hole", "nan", "nan at index 2", "a null in it"
    ),
    Bad(
        '{"id": "float64", "vector": [1, 2e38, 3e39, 4]}',
        "float64",
        "inf",
        "inf at index 2",
        "a float64 that float32 cannot hold",
    ),
    Bad('{"id": "zero", "vector": [0, 0, -0.0, 0]}', "zero", "zero_norm", None, "zeros alone"),
    Bad(
        '{"id": "same", "vector": [2, 2, 2, 2]}',
        "same",
        "constant",
        "all 4 components are 2",
        "one number everywhere",
    ),
    Bad(
        '{"id": "3", "vector": [1, 2, 3]}',
        "3",
        "wrong_length",
        "length 3, the pool has 4",
        "shorter than most",
    ),
    Bad(
        '{"id": "5", "vector": [1, 2, 3, 4, 5]}',
        "5",
        "wrong_length",
        "length 5, the pool has 4",
        "longer than most",
    ),
    Bad(
        '{"id": "none", "vector": []}', "none", "wrong_length", "length 0, the pool has 4", "empty"
    ),
    Bad('{"vector": [1, 2, 3, 4]}', None, "null_id", None, "no id"),
    Bad(
        '{"id": "cut", "vector": [1, 2',
        None,
        "malformed",
        '{"id": "cut", "vector": [1, 2',
        "a line of JSON cut short",
    ),
    Bad(
        '{"id": {"a": 1, "vector": [1]',
        None,
        "malformed",
        '{"id": {"a": 1, "vector": [1]',
        "a line that is no JSON",
    ),
    Bad(
        '{"id": "twice", "vector": [1, 2, 3, 4]}',
        "twice",
        "duplicate_id",
        "the id stands on 2 rows",
        "an id on several rows whose contents differ: all of them",
    ),
    Bad('{"id": "twice", "vector": null}', "twice", "duplicate_id", "the id stands on 2 rows"),
]
HUGE = np.array([1e6] * 7 + [-1e6], "<f4").tobytes()  # good vectors are all of length 8 ** .5
VECTORS = [  # binary, float32; ids are integers
    Bad(None, 900, "null_content", None, "null"),
    Bad(b"", 901, "wrong_length", "0 bytes, the pool has 32 (float32)", "no bytes"),
    Bad(b"seven..", 902, "wrong_length", "7 bytes, the pool has 32 (float32)", "no multiple of 4"),
    Bad(
        np.ones(4, "<f4").tobytes(),
        903,
        "wrong_length",
        "16 bytes, the pool has 32 (float32)",
        "another number of components",
    ),
    Bad(np.full(8, np.nan, "<f4").tobytes(), 904, "nan", "nan at index 0", "NaN"),
    Bad(
        HUGE,
        905,
        "norm_too_large",
        "norm 2.83e+06, the median is 2.83",
        "far longer than the others (`hygiene.max_norm_ratio`), where `embed.normalize` is off",
    ),
    Bad(
        np.linspace(1, 2, 8, dtype="<f8").tobytes(),
        906,
        "wrong_length",
        "64 bytes, the pool has 32 (float32)",
        "float64 among float32",
    ),
    Bad(np.arange(8, dtype="<f4").tobytes(), None, "null_id", None, "no id"),
]


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """Return a PNG of a few bytes that claims side * side pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def noise(seed: int, shape: tuple[int, ...] = (8, 8)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


NOISE = [png(noise(i)) for i in range(N_GOOD)]
IMAGES = [
    Bad(None, "null", "null_content", None, "null"),
    Bad(b"", "empty", "empty_content", None, "no bytes"),
    Bad(b"GIF89a, or so", "text", "undecodable", ANY, "text, or a broken header"),
    Bad(NOISE[0][:60], "truncated", "undecodable", ANY, "cut short"),
    Bad(png(np.full((8, 8), 7)), "flat", "constant", "every pixel is 7", "one colour alone"),
    Bad(bomb(60_000), "bomb", "undecodable", ANY, "a decompression bomb: over 89 million pixels"),
    Bad(bomb(10_000), "large", "undecodable", ANY, "somewhat over that limit"),
    Bad(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg", "undecodable", ANY, "SVG"),
    Bad(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage",
        "eps",
        "undecodable",
        ANY,
        "PostScript, which a program would have to run",
    ),
    Bad(
        NOISE[1],
        "twice",
        "duplicate_id",
        "the id stands on 2 rows",
        "an id of two contents: both rows",
    ),  # fmt: skip
    Bad(NOISE[2], "twice", "duplicate_id", "the id stands on 2 rows"),
]
TEXTS = [  # binary, in UTF-8
    Bad(None, "null", "null_content", None, "null"),
    Bad(b"", "empty", "empty_content", None, "empty"),
    Bad(b" \t\n ", "white", "empty_content", "4 white space characters", "white space alone"),
    Bad(
        b"caf\xe9",
        "latin-1",
        "undecodable",
        "not UTF-8 at byte 3: unexpected end of data",
        "bytes that are not UTF-8",
    ),
    # its hash comes after all others', so it is not among the texts fitted on
    Bad(
        "日本語".encode(),
        "foreign-2761",
        "zero_norm",
        "shares no n-gram with the texts fitted on",
        "nothing in common with any text fitted on",
    ),
]
CASES = {"lines": LINES, "vectors": VECTORS, "images": IMAGES, "texts": TEXTS}
TITLES = {
    "lines": "Embeddings as lists of numbers",
    "vectors": "Embeddings as binary",
    "images": "Images (`embed.model: pixels`)",
    "texts": "Texts (`embed.model: lsa`)",
}

LONG_ID = "'; DROP TABLE x; --" + "x" * 100_000
_COLOUR = Image.fromarray(noise(100, (8, 8, 3)))
TAKEN: dict[str, list[Taken]] = {
    "lines": [
        Taken({"vector": [1, 2, 3, 5]}, LONG_ID, "an id of 100,000 characters"),
        Taken(
            {"vector": [2, 1, 3, 5]}, "학교 🏳️‍🌈 \u202e <b>", "Unicode, signs and markup in an id"
        ),
        Taken({"vector": [3, 1, 2, 5]}, " ", "an id of white space"),
        Taken({"vector": [1, 1, 2, 5]}, "null ", "whole numbers in place of floats"),
        Taken(
            {"vector": [1e-30, 0, 0, 1e-30]}, "tiny", "very short vectors, if scaled to length 1"
        ),
    ],
    "vectors": [],
    "images": [
        Taken(encoded(_COLOUR.convert("CMYK"), "JPEG"), "cmyk", "CMYK"),
        Taken(encoded(_COLOUR.convert("P"), "GIF"), "palette", "palettes"),
        Taken(
            encoded(
                Image.fromarray(noise(101)),
                "GIF",
                save_all=True,
                append_images=[Image.fromarray(noise(102))],
            ),
            "animated",
            "animations: their first frame",
        ),
        Taken(encoded(_COLOUR.convert("RGBA"), "PNG"), "alpha", "transparency, which shows white"),
        Taken(
            encoded(Image.fromarray(noise(103).astype(np.uint16) * 256), "PNG"),
            "16 bit",
            "16-bit greys, scaled to their range",
        ),
        Taken(encoded(_COLOUR.resize((1, 300)), "PNG"), "thin", "any shape; all are made square"),
    ],
    "texts": [
        Taken(b"text 1 of concept 2\x00\x1b[2J", "control", "control characters"),
        Taken(
            b"text 1 of concept 3 " * 20_000, "long", "long texts: their first 131,072 characters"
        ),
    ],
}
