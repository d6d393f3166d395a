"""Measures: by hand, and against scipy-free definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.kernels.judging.measures import effective_number, entropy, kl_to_uniform, lorenz_curve


def test_an_even_spread_is_perfect() -> None:
    counts = np.array([5, 5, 5, 5])
    assert entropy(counts) == pytest.approx(np.log(4))
    assert effective_number(counts) == pytest.approx(4)
    assert kl_to_uniform(counts) == pytest.approx(0)


def test_everything_in_one_class_of_four() -> None:
    counts = np.array([9, 0, 0, 0])
    assert effective_number(counts) == 1
    assert kl_to_uniform(counts) == pytest.approx(np.log(4))


def test_the_lorenz_curve_of_two_classes() -> None:
    x, share = lorenz_curve(np.array([3, 1]), n_steps=2)
    assert x.tolist() == [0, 0.5, 1]
    assert share.tolist() == [0, 0.25, 1]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50).filter(sum))
def test_kl_is_the_definition_and_lies_between_zero_and_log_n(values: list[int]) -> None:
    counts = np.array(values)
    p = counts[counts > 0] / counts.sum()
    assert kl_to_uniform(counts) == pytest.approx((p * np.log(p * len(counts))).sum(), abs=1e-12)
    assert -1e-12 <= kl_to_uniform(counts) <= np.log(len(counts)) + 1e-12
    x, share = lorenz_curve(counts)
    assert (np.diff(share) >= 0).all() and (share <= x + 1e-12).all()
