"""Vectors as bytes: every declared encoding is read back, and no other one passes for float32."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from jobs.config.model import EmbeddingType
from udfs.embedders.encodings import DTYPES, decode, is_float32, likely
from udfs.embedders.precomputed import make_embedder

OTHERS = [kind for kind in DTYPES if kind != "float32"]


def normal(n_rows: int, n_features: int) -> NDArray[np.float64]:
    return np.random.default_rng(n_features).standard_normal((n_rows, n_features))


def unit(X: NDArray[np.float64]) -> NDArray[np.float64]:
    return X / np.linalg.norm(X, axis=1, keepdims=True)


POOLS = {
    "one vector": unit(normal(3, 8)),
    "unit": unit(normal(200, 64)),
    "normal": normal(100, 16),
    "large": 50 * normal(100, 16),
    "round": np.round(3 * normal(100, 16)),
    "half are zero": np.maximum(normal(100, 16), 0),
    "singles": normal(100, 16).astype(np.float32).astype(np.float64),
}


def encoded(X: NDArray[np.float64], kind: str) -> list[bytes]:
    if kind == "bfloat16":
        return [(x.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes() for x in X]
    if DTYPES[kind][-2] in "iu":
        scaled = np.round(127 * X / np.abs(X).max()) + 128 * (kind == "uint8")
        return [x.astype(DTYPES[kind]).tobytes() for x in scaled]
    return [x.astype(DTYPES[kind]).tobytes() for x in X]


def test_the_config_names_every_encoding() -> None:
    assert get_args(EmbeddingType) == tuple(DTYPES)


def test_numbers_by_hand() -> None:
    assert decode(bytes([0, 0, 0x80, 0x3F]), "float32").tolist() == [1.0]
    assert decode(bytes([0x3F, 0x80, 0, 0]), "float32_be").tolist() == [1.0]
    assert decode(bytes([0x00, 0x3C, 0x00, 0xC0]), "float16").tolist() == [1.0, -2.0]
    assert decode(bytes([0x80, 0x3F, 0x00, 0xC0]), "bfloat16").tolist() == [1.0, -2.0]
    assert decode(bytes([1, 255]), "int8").tolist() == [1, -1]
    assert decode(bytes([1, 255]), "uint8").tolist() == [1, 255]


@pytest.mark.parametrize("kind", DTYPES)
def test_a_declared_encoding_is_read_back(kind: str) -> None:
    X = np.round(3 * normal(20, 6))  # exact in each of them
    if kind in ("int8", "uint8"):
        X = np.abs(X)
    contents = [x.astype(DTYPES[kind]).tobytes() for x in X]
    if kind == "bfloat16":
        contents = encoded(X, kind)
    embedded = make_embedder(6, kind)(pd.Series([*contents, contents[0][:-1]]))
    np.testing.assert_array_equal(embedded.vectors[:-1], X)
    assert embedded.reasons[-1] == "wrong_length"
    assert embedded.details[-1].endswith(f"({kind})")


@pytest.mark.parametrize("pool", POOLS)
def test_float32_is_known_and_nothing_else_passes_for_it(pool: str) -> None:
    X = POOLS[pool]
    assert is_float32(encoded(X, "float32"))
    assert [kind for kind in OTHERS if is_float32(encoded(X, kind))] == []


@pytest.mark.parametrize("pool", POOLS)
def test_what_bytes_look_like_is_among_what_they_are(pool: str) -> None:
    for kind in OTHERS:
        if kind not in ("int8", "uint8"):  # those look like anything
            assert kind in likely(encoded(POOLS[pool], kind)), kind


def test_nothing_is_said_of_no_bytes() -> None:
    assert not is_float32([])
    assert not is_float32([b"abc", b""])
    assert likely([b"abc"]) == []
