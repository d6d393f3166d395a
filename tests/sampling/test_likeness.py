"""Samples that are like seeds, or unlike: by hand, and that constraints name each other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.config.errors import ConfigError
from jobs.sampling.counts import Counts, all_points
from jobs.sampling.planned import plan_sample
from jobs.sampling.shares import Share
from jobs.sections.likeness import LikeConfig
from jobs.sections.samples import SampleConfig
from jobs.sections.share import ShareConfig
from tests.sampling.trees import random_tree
from udfs.kernels.sampling.allocation import TreeLevel

# two top nodes: leaves 0, 1 and leaves 2, 3
LEVELS = [
    TreeLevel(np.array([0, 0, 1, 1]), np.ones(4, int), np.array([50, 50, 50, 50])),
    TreeLevel(np.array([0, 0]), np.array([2, 2]), np.array([100, 100])),
]
SEEDS = np.array([3, 0, 0, 0])


def planned(size: int = 64, *, points: float = 0.0, **more: Any) -> Share:
    keys = ("like", "unlike")
    named = {key: LikeConfig(table="seeds", **given) for key, given in more.items() if key in keys}
    share = ShareConfig(leaves=0.0, points=points)
    sample = SampleConfig(name="s", target_size=size, share=share, **named)
    seeds = {key: SEEDS for key in named}
    return plan_sample(sample, LEVELS, all_points(LEVELS), size, seed=3, seeds=seeds)


def of_leaves(share: Share) -> list[int]:
    return share.strata[0].quotas[0].tolist()


def test_nodes_with_seeds_give_more_and_the_others_stay_even() -> None:
    # of 64, 7/8 go to the seeds' node, and of these 7/8 to their leaf; it has 50 points
    assert of_leaves(planned(like={})) == [49, 7, 4, 4]
    assert of_leaves(planned(unlike={})) == [1, 7, 28, 28]


def test_a_smaller_strength_leaves_more_to_the_others() -> None:
    # lifts of 7/4 and 1/4, to the power of 1/2: 1.32 and .5
    assert of_leaves(planned(like={"strength": 0.5})) == [33, 13, 9, 9]


def test_like_and_unlike_the_same_seeds_is_neither() -> None:
    assert of_leaves(planned(like={}, unlike={})) == [16, 16, 16, 16]


def test_strictly_only_leaves_with_seeds_give_or_only_those_without() -> None:
    assert of_leaves(planned(40, like={"strict": True})) == [40, 0, 0, 0]
    assert of_leaves(planned(30, unlike={"strict": True}))[0] == 0
    with pytest.raises(ConfigError, match="strict likeness leaves 50; want 50 or fewer"):
        planned(64, like={"strict": True})


def test_what_must_be_included_may_not_be_in_leaves_that_give_nothing() -> None:
    sample = SampleConfig(
        name="s", target_size=4, must_include="x", share=ShareConfig(leaves=0.0),
        unlike=LikeConfig(table="seeds", strict=True),
    )  # fmt: skip
    counts = Counts(LEVELS[0].n_points[None], np.array([[2, 0, 0, 0]]))
    with pytest.raises(ConfigError, match="2 rows that must be .* that strict likeness drops"):
        plan_sample(sample, LEVELS, counts, 4, seed=3, seeds={"unlike": SEEDS})


@settings(max_examples=30, deadline=None)
@given(rng=st.integers(0, 2**31).map(np.random.default_rng))
def test_every_prefix_is_the_sample_of_its_size(rng: np.random.Generator) -> None:
    levels = random_tree(rng)
    if not (n_points := int(levels[-1].n_points.sum())):
        return
    like = LikeConfig(table="seeds", strength=float(rng.choice([0.3, 1, 3])))
    sample = SampleConfig(
        name="s", target_size=10, share=ShareConfig(leaves=0.0), like=like, unlike=like
    )
    seeds = {key: rng.binomial(levels[0].n_points, 0.2) for key in ("like", "unlike")}
    size = int(rng.integers(1, n_points + 1))
    whole, small = (
        plan_sample(sample, levels, all_points(levels), n, seed=3, seeds=seeds)
        for n in (n_points, size)
    )
    quotas, positions = small.strata[0].quotas[0], whole.strata[0].positions
    assert quotas.sum() == size
    leaf_of = np.repeat(np.arange(len(quotas)), whole.strata[0].quotas[0])
    assert np.bincount(leaf_of[positions < size], minlength=len(quotas)).tolist() == quotas.tolist()
