from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.embedders.precomputed import make_embedder

ENCODINGS = {
    "list": list,
    "tuple": tuple,
    "float32 array": lambda row: np.array(row, dtype=np.float32),
    "float64 array": lambda row: np.array(row, dtype=np.float64),
    "objects": lambda row: np.array(row, dtype=object),
    "bytes": lambda row: np.array(row, dtype="<f4").tobytes(),
    "bytearray": lambda row: bytearray(np.array(row, dtype="<f4").tobytes()),
}


def column(*values):
    return pd.Series(list(values), dtype=object)


def test_lists_arrays_and_bytes_by_hand():
    embedded = make_embedder(2)(
        column([1.5, 2], np.array([3, 4]), np.array([5, 6], "<f4").tobytes(), [Decimal("7.5"), 8])
    )
    assert embedded.vectors.tolist() == [[1.5, 2], [3, 4], [5, 6], [7.5, 8]]
    assert embedded.vectors.dtype == np.float32
    assert embedded.reasons.tolist() == [None] * 4
    assert embedded.details.tolist() == [None] * 4


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "null_content", None),
        ([], "wrong_length", "length 0, the pool has 2"),
        ([1.0, 2.0, 3.0], "wrong_length", "length 3, the pool has 2"),
        (b"1234567", "wrong_length", "7 bytes, the pool has 8 (float32)"),
        ([1.0, None], "nan", "null at index 1"),
        (["1", "2"], "undecodable", "str at index 0"),
        ([True, False], "undecodable", "bool at index 0"),
        ([1.0, "x"], "undecodable", "str at index 1"),
        (np.array([1.0, "x"], dtype=object), "undecodable", "str at index 1"),
        ([10**400, 1], "undecodable", "int too large to convert to float"),
        ([[1.0, 2.0], [3.0, 4.0]], "undecodable", "an array of shape (2, 2) is not a flat list"),
        ([[1.0], [2.0, 3.0]], "undecodable", "not a flat list of numbers"),
        ("1,2", "undecodable", "str is not a list of numbers"),
        (7, "undecodable", "int is not a list of numbers"),
    ],
)
def test_a_bad_value_has_a_reason_and_its_neighbours_do_not(value, reason, detail):
    embedded = make_embedder(2)(column([1, 2], value, [3, 4]))
    assert embedded.reasons.tolist() == [None, reason, None]
    assert embedded.details.tolist() == [None, detail, None]
    assert embedded.vectors.tolist() == [[1, 2], [0, 0], [3, 4]]


def test_a_number_beyond_float32_becomes_infinite():
    assert make_embedder(2)(column([1e300, 1.0])).vectors.tolist() == [[np.inf, 1]]


def test_an_empty_column_gives_an_empty_matrix():
    assert make_embedder(3)(column()).vectors.shape == (0, 3)


def test_a_column_of_another_type_is_undecodable():
    assert make_embedder(1)(pd.Series([1.5, np.nan])).reasons.tolist() == [
        "undecodable",
        "null_content",
    ]


def test_no_features_are_refused():
    with pytest.raises(ValueError, match="n_features=0"):
        make_embedder(0)


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
            st.sampled_from(sorted(ENCODINGS)),
        ),
        max_size=8,
    )
)
def test_the_encoding_of_a_vector_does_not_matter(rows):
    embedded = make_embedder(3)(column(*(ENCODINGS[encoding](row) for row, encoding in rows)))
    expected = np.array([row for row, _ in rows], dtype=np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(embedded.vectors, expected)
    assert embedded.reasons.tolist() == [None] * len(rows)
