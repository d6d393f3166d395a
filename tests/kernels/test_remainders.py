"""Quotas by largest remainders: by hand, against fractions, and what must always hold."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.kernels.sampling.remainders import largest_remainders, scarcity_weights

weights = st.lists(st.integers(0, 40).map(float), min_size=1, max_size=30).filter(any)


def test_quotas_by_hand() -> None:
    # 10 * (1, 2, 4) / 7 = 1.43, 2.86, 5.71: the two largest remainders get one more
    assert largest_remainders(10, np.array([1.0, 2.0, 4.0])).tolist() == [1, 3, 6]
    # three shares of 10/3: the tie goes to the first
    assert largest_remainders(10, np.ones(3)).tolist() == [4, 3, 3]
    assert largest_remainders(2, np.array([0.0, 1.0, 1e-9])).tolist() == [0, 2, 0]


@settings(max_examples=200)
@given(total=st.integers(0, 10_000), weights=weights)
def test_quotas_are_those_of_exact_fractions(total: int, weights: list[float]) -> None:
    quotas = largest_remainders(total, np.array(weights)).tolist()
    shares = [Fraction(total) * Fraction(w) / Fraction(sum(weights)) for w in weights]
    want = [int(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda i: (want[i] - shares[i], i))
    for i in order[: total - sum(want)]:
        want[i] += 1
    assert quotas == want


@settings(max_examples=200)
@given(total=st.integers(0, 2**40), weights=weights, power=st.floats(0, 4))
def test_quotas_sum_to_the_total_and_equal_weights_get_equal_ones(
    total: int, weights: list[float], power: float
) -> None:
    scarce = scarcity_weights(np.array(weights).astype(np.int64), power)
    quotas = largest_remainders(total, scarce)
    assert quotas.sum() == total
    assert quotas.min() >= 0
    for weight in np.unique(scarce):
        alike = quotas[scarce == weight]
        assert alike.max() - alike.min() <= 1
    order = np.argsort(scarce, kind="stable")
    assert (np.diff(quotas[order]) >= -1).all()  # scarcer concepts never get less


def test_what_the_pool_has_nothing_of_weighs_most() -> None:
    found = scarcity_weights(np.array([0, 1, 9, 10**12]), 1.0)
    assert found[:3] == pytest.approx([1, 0.5, 0.1])
    assert (np.diff(found) < 0).all()
    assert scarcity_weights(np.array([0, 7]), 0.0).tolist() == [1, 1]
