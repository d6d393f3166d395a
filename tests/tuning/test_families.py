"""Families of trees: level 1 follows the pool's size, the levels above follow the data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.sections.cluster import ClusterConfig
from jobs.tuning.families import (
    MAX_LEAVES,
    MIN_STEP,
    MIN_TOP,
    Family,
    families,
    n_leaves,
    n_sampled,
)

GENTLE, STEEP = Family(2, 3), Family(4, 3)


@pytest.mark.parametrize(
    ("n_points", "wanted"),
    [(0, 1), (3, 1), (500, 100), (10_000, 2000), (40_000, 2000), (200_000, 10_000)],
)
def test_a_leaf_has_twenty_points_unless_leaves_are_few(n_points: int, wanted: int) -> None:
    assert n_leaves(n_points) == wanted
    assert n_leaves(10**9) == MAX_LEAVES


@pytest.mark.parametrize(
    ("n_points", "n_features", "wanted"),
    [(100, 8, 100), (10**6, 1000, 20_000), (10**6, 256, 20_000), (10**6, 64, 78_125)],
)
def test_short_vectors_leave_room_for_a_larger_hash_sample(
    n_points: int, n_features: int, wanted: int
) -> None:
    assert n_sampled(n_points, n_features) == wanted


def test_a_larger_pool_has_more_leaves_under_the_same_top() -> None:
    assert GENTLE.levels(20_000, 250) == [2000, 1000, 500, 250]
    assert GENTLE.levels(60_000, 250) == [3000, 2000, 1000, 500, 250]
    assert GENTLE.levels(2_000_000, 250) == [100_000, 4000, 2000, 1000, 500, 250]
    assert STEEP.levels(200_000, 1000) == [10_000, 4000, 1000]


def test_a_sample_that_is_the_pool_keeps_the_tree_that_was_tried() -> None:
    for n_points in (530, 20_000, 39_000):
        ladder = GENTLE.ladder(n_points)
        for depth in range(1, len(ladder) + 1):
            levels = GENTLE.levels(n_points, ladder[depth - 1])
            assert levels[0] == ladder[0]
            assert (len(levels), levels[-1]) == (depth, ladder[depth - 1])


@given(
    n_points=st.integers(1, 10**8),
    top=st.integers(1, 20_000),
    family=st.sampled_from(families(ClusterConfig())),
)
def test_every_tree_is_a_config(n_points: int, top: int, family: Family) -> None:
    for levels in (family.levels(n_points, top), family.ladder(n_points)):
        config = family.config(ClusterConfig(), levels)
        assert ClusterConfig.model_validate(config.model_dump()) == config  # each level smaller
        assert all(
            config.rounds_at(t) == 0 for t in range(1, 9)[: len(levels)] if config.cells_at(t)
        )
    assert all(k * MIN_STEP <= n_leaves(n_points) for k in family.levels(n_points, top)[1:])
    assert all(k >= MIN_TOP for k in family.ladder(n_points)[1:])


def test_resampling_that_the_config_gives_is_not_tried_otherwise() -> None:
    given_rounds = ClusterConfig.model_validate({"resampling": {"rounds": 7, "points": 4}})
    assert {family.rounds for family in families(given_rounds)} == {7}
    config = families(given_rounds)[0].config(given_rounds, [100, 50])
    assert (config.rounds_at(2), config.points_at(2)) == (7, 4)
    assert {family.rounds for family in families(ClusterConfig())} == {3, 0}
