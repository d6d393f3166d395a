"""Lifts of seeds: by hand, as a distribution over siblings, and what draws make of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sampling.trees import random_tree
from udfs.kernels.sampling.allocation import TreeLevel
from udfs.kernels.sampling.lifts import lifts
from udfs.kernels.sampling.quotas import units_below

# two top nodes: leaves 0, 1 and leaves 2, 3
LEVELS = [
    TreeLevel(np.array([0, 0, 1, 1]), np.ones(4, int), np.array([10, 30, 10, 10])),
    TreeLevel(np.array([0, 0]), np.array([2, 2]), np.array([40, 20])),
]


def test_by_hand() -> None:
    leaves, top = lifts(LEVELS, np.array([3, 0, 0, 0]))
    # below the first node 3 seeds, and a quarter of its points in leaf 0
    assert leaves.tolist() == [(3 + 0.25) / (4 * 0.25), 1 / 4, 1, 1]
    assert top == pytest.approx([(3 + 2 / 3) / (4 * 2 / 3), 1 / 4])


def test_seeds_that_are_spread_as_the_points_lift_nobody() -> None:
    for lift in lifts(LEVELS, np.array([10, 30, 10, 10])):
        assert lift == pytest.approx(1)


@settings(max_examples=50, deadline=None)
@given(rng=st.integers(0, 2**31).map(np.random.default_rng))
def test_points_times_lifts_are_the_seeds_and_one_more(rng: np.random.Generator) -> None:
    levels = random_tree(rng)
    n_seeds = rng.binomial(levels[0].n_points, rng.random())
    for t, lift in enumerate(lifts(levels, n_seeds)):
        if t:
            n_seeds = units_below(n_seeds, levels[t - 1].parents, len(levels[t].parents))
        parents, n_points = levels[t].parents, np.maximum(levels[t].n_points, 1)
        for parent in np.unique(parents):
            mine = parents == parent
            part = n_points[mine] / n_points[mine].sum()
            wanted = (n_seeds[mine] + part) / (n_seeds[mine].sum() + 1)
            np.testing.assert_allclose(part * lift[mine], wanted)
