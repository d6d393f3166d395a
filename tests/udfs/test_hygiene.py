import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import normalize

from udfs.kernels.exact.hygiene import CHUNK_ROWS, check_vectors, normalize_rows, row_norms

TINY = np.float32(1e-45)  # the smallest float32
HUGE = np.float32(3e38)
ANY_FLOATS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 6), st.integers(1, 5)),
    elements=st.floats(width=32),
)


def matrix(*rows):
    return np.array(rows, dtype=np.float32)


def test_norms_by_hand():
    assert row_norms(matrix([3, 4], [0, 0], [-1, 0])).tolist() == [5, 0, 1]


def test_norms_of_the_smallest_and_largest_floats_neither_vanish_nor_overflow():
    assert row_norms(matrix([TINY, 0], [HUGE, 0])).tolist() == [float(TINY), float(HUGE)]


def test_norms_of_no_rows_or_no_features_are_zeros():
    assert row_norms(np.empty((0, 3), np.float32)).shape == (0,)
    assert row_norms(np.empty((2, 0), np.float32)).tolist() == [0, 0]


def test_norms_add_squares_one_after_another(seed):
    X = np.random.default_rng(seed).normal(size=(CHUNK_ROWS + 5, 37)).astype(np.float32)
    for row, norm in zip(X.astype(float), row_norms(X), strict=True):
        total = 0.0
        for component in row:
            total += component * component
        assert norm == np.sqrt(total)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1, 2, 3], None),
        ([0, 0, 0], "zero_norm"),
        ([-0.0, 0.0, 0.0], "zero_norm"),
        ([TINY, 0, 0], None),
        ([2, 2, 2], "constant"),
        ([np.inf, 1, 2], "inf"),
        ([np.inf, np.inf, np.inf], "inf"),
        ([np.inf, -np.inf, np.nan], "nan"),
        ([0, 0, np.nan], "nan"),
    ],
)
def test_reasons_by_hand(row, reason):
    assert check_vectors(matrix(row)).tolist() == [reason]


def test_a_single_component_is_not_constant():
    assert check_vectors(matrix([2], [0])).tolist() == [None, "zero_norm"]


def test_vectors_without_components_have_no_norm():
    assert check_vectors(np.empty((1, 0), np.float32)).tolist() == ["zero_norm"]


@given(ANY_FLOATS)
def test_a_row_without_a_reason_is_finite_varied_and_has_a_norm(X):
    norms = row_norms(X)
    for row, norm, reason in zip(X, norms, check_vectors(X), strict=True):
        is_fit = np.isfinite(row).all() and norm > 0 and (len(row) == 1 or len({*row}) > 1)
        assert (reason is None) == is_fit


@given(ANY_FLOATS)
def test_normalized_rows_have_length_one_or_are_zeros(X):
    norms = row_norms(X)
    unit = normalize_rows(X, norms)
    has_direction = np.isfinite(norms) & (norms > 0)
    # rounding to float32 moves each component by at most 2^-24 of itself, or half a denormal
    np.testing.assert_allclose(row_norms(unit), has_direction, rtol=0, atol=2**-23)


def test_rows_of_extreme_size_keep_their_direction():
    X = matrix([3 * TINY, 4 * TINY], [2.4e38, 3.2e38], [0, 0], [np.nan, 1])
    expected = matrix([0.6, 0.8], [0.6, 0.8], [0, 0], [0, 0])
    # the rows' own components are rounded: 2.4e38 to 2^-24 of itself
    np.testing.assert_allclose(normalize_rows(X, row_norms(X)), expected, rtol=2**-22)


def test_normalized_rows_agree_with_scikit_learn(seed):
    X = np.random.default_rng(seed).normal(size=(2 * CHUNK_ROWS + 1, 9)).astype(np.float32)
    expected = normalize(X.astype(np.float64)).astype(np.float32)
    # scikit-learn's norm may differ by an ulp of float64, which may tip a rounding to float32
    np.testing.assert_allclose(normalize_rows(X, row_norms(X)), expected, rtol=2**-23)
