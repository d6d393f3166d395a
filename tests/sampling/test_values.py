"""Quotas of values: the largest size that there are rows for, beside every size tried."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.bounds.values import bounds_of_values, largest_size
from jobs.sections.samples import QuotasConfig


def quotas(values: dict[str, dict[str, float]]) -> QuotasConfig:
    return QuotasConfig.model_validate({"by": "c", "values": values})


def is_possible(wanted: QuotasConfig, most: np.ndarray, size: int) -> bool:
    bounds = bounds_of_values(wanted, size)
    room = [m if high is None else min(m, high) for m, (_, high) in zip(most, bounds, strict=False)]
    enough = all(low <= m for m, (low, _) in zip(most, bounds, strict=False))
    return enough and sum(room) + most[-1] >= size


@st.composite
def cases(draw: st.DrawFn) -> tuple[QuotasConfig, np.ndarray, int]:
    k = draw(st.integers(1, 4))
    share = st.fixed_dictionaries({"share": st.integers(0, 1000 // k).map(lambda x: x / 1000)})
    count = st.fixed_dictionaries({"count": st.integers(1, 50)})
    between = st.fixed_dictionaries({"min": st.integers(0, 20), "max": st.integers(20, 90)})
    values = {f"v{i}": draw(st.one_of(share, count, between)) for i in range(k)}
    if draw(st.booleans()):
        values = {f"v{i}": {"share": round(1 / k, 3)} for i in range(k)}
    most = [*draw(st.lists(st.integers(0, 300), min_size=k, max_size=k)), draw(st.integers(0, 90))]
    return quotas(values), np.array(most), draw(st.integers(1, 900))


@given(cases())
def test_the_largest_possible_size_is_found(case: tuple[QuotasConfig, np.ndarray, int]) -> None:
    wanted, most, size = case
    possible = [n for n in range(1, size + 1) if is_possible(wanted, most, n)]
    assert largest_size(wanted, most, size) == max(possible, default=0)


@pytest.mark.parametrize(
    ("share", "n_values", "found"), [(0.333, 3, 1500), (0.33, 3, 150), (0.166, 6, 744)]
)
def test_shares_that_nearly_sum_to_1_allow_what_their_roundings_do(
    share: float, n_values: int, found: int
) -> None:
    wanted = quotas({f"v{i}": {"share": share} for i in range(n_values)})
    assert largest_size(wanted, np.array([5000] * n_values + [0]), 15_000) == found
