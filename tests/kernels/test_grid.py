"""The grid: units by hand, exactness as a property."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.kernels.exact.grid import (
    exact_sum,
    from_grid,
    grid_unit,
    join_limbs,
    limbs_as_float,
    limbs_of,
    mean_on_grid,
    to_grid,
)


def test_unit_is_the_next_power_of_two_over_two_to_the_24() -> None:
    assert grid_unit(1.0) == 2.0**-24
    assert grid_unit(1.001) == 2.0**-23
    assert grid_unit(0.25) == 2.0**-26


@pytest.mark.parametrize("norm", [0.0, -1.0, math.inf, math.nan, 1e-40])
def test_impossible_norms_are_refused(norm: float) -> None:
    with pytest.raises(ValueError, match="norm"):
        grid_unit(norm)


@given(norm=st.floats(1e-20, 1e20), seed=st.integers(0, 2**32))
def test_rounding_moves_a_vector_by_at_most_half_a_unit_and_survives_the_way_back(
    norm: float, seed: int
) -> None:
    x = np.random.default_rng(seed).standard_normal((3, 8))
    X = (x / np.linalg.norm(x, axis=1, keepdims=True) * norm).astype(np.float32)
    unit = grid_unit(float(np.linalg.norm(X.astype(np.float64), axis=1).max()))
    on_grid = to_grid(X, unit)
    assert np.array_equal(on_grid, np.rint(on_grid))
    assert np.abs(on_grid).max() <= 2**24
    assert np.abs(from_grid(on_grid, unit).astype(float) - X).max() <= unit / 2
    assert np.array_equal(to_grid(from_grid(on_grid, unit), unit), on_grid)


@given(st.lists(st.integers(0, 2**51), min_size=1, max_size=50))
def test_limbs_sum_exactly(distances: list[int]) -> None:
    assert exact_sum(np.array(distances, dtype=np.float64)) == sum(distances)
    assert join_limbs(limbs_of(sum(distances))) == sum(distances)


@given(st.lists(st.tuples(st.integers(0, 2**52), st.integers(0, 2**50)), min_size=1, max_size=9))
def test_sums_in_limbs_become_the_nearest_floats(pairs: list[tuple[int, int]]) -> None:
    limbs = np.array(pairs)
    assert limbs_as_float(limbs).tolist() == [float(join_limbs(pair)) for pair in limbs]


def test_means_are_rounded_to_the_grid() -> None:
    sums = np.array([[3.0, 10.0], [7.0, -5.0]])
    assert mean_on_grid(sums, np.array([2, 3])).tolist() == [[2.0, 5.0], [2.0, -2.0]]
