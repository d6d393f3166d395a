"""Quotas: by hand, against one unit at a time, against the paper's water-filling, nested."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from udfs.kernels.exact.hashing import hash_keys
from udfs.kernels.sampling.quotas import (
    BLOCK_CHILDREN,
    admission_order,
    divide_quotas,
    share_weights,
)


def one_at_a_time(
    quota: int, weights: list[float], capacities: list[int], order: list[int]
) -> list[int]:
    """Return quotas unit by unit: each to the child of highest priority w / (2 n + 1) with room."""
    given_ = [0] * len(weights)
    for _ in range(min(quota, sum(capacities))):
        open_ = [j for j in range(len(weights)) if given_[j] < capacities[j]]
        # floats on purpose: priorities are defined as float64 quotients
        best = min(open_, key=lambda j: (-(weights[j] / (2 * given_[j] + 1)), order[j], j))
        given_[best] += 1
    return given_


def water_filling(quota: int, capacities: list[int]) -> tuple[int, int]:
    """The paper's n_j = min(q, m_j): the largest integer q that fits, and what remains."""
    q = 0
    while q < max(capacities) and sum(min(q + 1, m) for m in capacities) <= quota:
        q += 1
    return q, quota - sum(min(q, m) for m in capacities)


def test_equal_shares_fill_like_water() -> None:
    got = divide_quotas(
        np.array([10]),
        np.zeros(4, int),
        np.ones(4),
        np.array([1, 2, 100, 100]),
        hash_keys(0, np.arange(4)),
    )
    assert got[:2].tolist() == [1, 2]
    assert sorted(got[2:].tolist()) == [3, 4]


def test_sainte_lague_by_hand() -> None:
    # 53, 24, 23 of 100 votes and 7 seats: the textbook example of Sainte-Lague gives 3, 2, 2
    got = divide_quotas(
        np.array([7]),
        np.zeros(3, int),
        np.array([53.0, 24.0, 23.0]),
        np.array([99, 99, 99]),
        np.zeros(3, np.uint64),
    )
    assert got.tolist() == [3, 2, 2]


forests = st.integers(0, 2**31).map(np.random.default_rng)


@settings(max_examples=150)
@given(rng=forests, equal=st.booleans())
def test_agrees_with_one_unit_at_a_time(rng: np.random.Generator, equal: bool) -> None:
    n_parents, n = int(rng.integers(1, 5)), int(rng.integers(1, 25))
    parents = rng.integers(0, n_parents, n)
    weights = (
        np.ones(n)
        if equal
        else share_weights(
            rng.integers(1, 50, n),
            rng.integers(0, 999, n),
            leaves=rng.choice([0, 0.3, 1]),
            points=0.5,
        )
    )
    capacities = rng.integers(0, 12, n)
    order = hash_keys(1, rng.integers(0, 5, n))  # ties in order, too
    quotas = rng.integers(0, 80, n_parents)
    got = divide_quotas(quotas, parents, weights, capacities, order)
    for p in range(n_parents):
        mine = np.flatnonzero(parents == p)
        expected = one_at_a_time(
            int(quotas[p]),
            weights[mine].tolist(),
            capacities[mine].tolist(),
            order[mine].tolist(),
        )
        assert got[mine].tolist() == expected


def test_a_parent_among_many_divides_as_if_it_were_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 3 * BLOCK_CHILDREN
    parents = (40 * rng.random(n) ** 4).astype(np.int64)  # the first has more children than a block
    capacities = rng.integers(0, 50, n)
    weights = share_weights(np.ones(n, np.int64), capacities, leaves=0, points=0.5)
    weights[parents % 2 == 0] = 1  # ties
    quotas = rng.integers(0, np.bincount(parents, weights=capacities).astype(np.int64) + 9)
    order = hash_keys(2, np.arange(n))
    got = divide_quotas(quotas, parents, weights, capacities, order)
    for p in range(40):
        mine = np.flatnonzero(parents == p)
        columns = weights[mine], capacities[mine], order[mine]
        alone = divide_quotas(quotas[[p]], np.zeros(len(mine), int), *columns)
        assert (got[mine] == alone).all()


@settings(max_examples=100)
@given(rng=forests)
def test_equal_shares_are_the_papers_up_to_ties(rng: np.random.Generator) -> None:
    capacities = rng.integers(0, 30, int(rng.integers(1, 20)))
    quota = int(rng.integers(0, capacities.sum() + 1))
    got = _divide(quota, np.ones(len(capacities)), capacities)
    q, rest = water_filling(quota, capacities.tolist())
    floor = np.minimum(q, capacities)
    assert ((got == floor) | (got == floor + 1)).all()
    assert (got - floor).sum() == rest


@settings(max_examples=100)
@given(rng=forests, share=st.sampled_from([(0, 0), (1, 0), (0, 1), (0.37, 0.5)]))
def test_invariants_and_nesting(rng: np.random.Generator, share: tuple[float, float]) -> None:
    n = int(rng.integers(1, 40))
    capacities = rng.integers(0, 10**6, n)
    weights = share_weights(rng.integers(1, 100, n), capacities, leaves=share[0], points=share[1])
    before = np.zeros(n, np.int64)
    for quota in np.sort(rng.integers(0, capacities.sum() + 10, 6)):
        got = _divide(int(quota), weights, capacities)
        assert got.sum() == min(quota, capacities.sum())
        assert (got <= capacities).all()
        assert (got >= before).all()  # house-monotone: more never takes from anyone
        before = got


def test_proportional_shares_are_exact_where_they_can_be() -> None:
    points = np.array([100, 300, 600])
    weights = share_weights(np.ones(3, np.int64), points, leaves=0, points=1)
    assert _divide(10, weights, points).tolist() == [1, 3, 6]


def test_equal_capacities_differ_by_at_most_one(seed: int) -> None:
    got = _divide(1234, np.ones(100), np.full(100, 50))
    assert got.max() - got.min() <= 1


def test_weights_are_rounded_but_not_moved() -> None:
    got = share_weights(np.array([3, 10**9]), np.array([7, 0]), leaves=0.5, points=0.25)
    exact = [3**0.5 * 7**0.25, 10**4.5]
    assert all(
        abs(Fraction(float(g)) / Fraction(e) - 1) < 2**-29 for g, e in zip(got, exact, strict=True)
    )


def _divide(
    quota: int, weights: NDArray[np.float64], capacities: NDArray[np.int64]
) -> NDArray[np.int64]:
    n = len(weights)
    order = hash_keys(0, np.arange(n))
    return divide_quotas(np.array([quota]), np.zeros(n, int), weights, capacities, order)


@settings(max_examples=100)
@given(rng=forests)
def test_minima_come_first(rng: np.random.Generator) -> None:
    n = int(rng.integers(1, 12))
    weights = rng.integers(1, 9, n).astype(float)
    capacities = rng.integers(0, 9, n)
    minima = rng.integers(0, capacities + 1)
    order = hash_keys(1, rng.integers(0, 5, n))
    parents = np.zeros(n, int)

    def divided(quota: int) -> NDArray[np.int64]:
        return divide_quotas(np.array([quota]), parents, weights, capacities, order, minima)

    quota = int(rng.integers(0, capacities.sum() + 2))
    got, least = divided(quota), min(quota, minima.sum())
    assert got.sum() == min(quota, capacities.sum())
    assert np.minimum(got, minima).sum() == least
    given_ = [0] * n
    for _ in range(got.sum()):
        open_ = [j for j in range(n) if given_[j] < capacities[j]]
        best = min(
            open_,
            key=lambda j: (
                given_[j] >= minima[j], -(weights[j] / (2 * given_[j] + 1)), order[j], j,
            ),
        )  # fmt: skip
        given_[best] += 1
    assert got.tolist() == given_
    if quota:  # one more unit takes none away, and the order of admission says where it goes
        smaller, whole = divided(quota - 1), divided(int(capacities.sum()))
        places = admission_order(whole, parents, weights, order, minima)
        child = np.repeat(np.arange(n), whole)
        np.testing.assert_array_equal(np.bincount(child[places < quota - 1], minlength=n), smaller)
