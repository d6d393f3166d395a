"""Rules of single nodes: by hand, what they refuse, and that samples are nested."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.config.errors import ConfigError
from jobs.sampling.counts import Counts, all_points
from jobs.sampling.planned import plan_sample
from jobs.sampling.shares import Share
from jobs.sections.node_rules import NodeRule
from jobs.sections.samples import SampleConfig
from jobs.sections.share import ShareConfig
from tests.sampling.trees import random_tree
from udfs.kernels.sampling.allocation import TreeLevel

# two top nodes: leaves 0, 1 and leaves 2, 3
LEVELS = [
    TreeLevel(np.array([0, 0, 1, 1]), np.ones(4, int), np.array([10, 10, 10, 10])),
    TreeLevel(np.array([0, 0]), np.array([2, 2]), np.array([20, 20])),
]


def planned(*rules: dict[str, Any], size: int = 12, **more: Any) -> Share:
    found = [NodeRule.model_validate(rule) for rule in rules]
    sample = SampleConfig(
        name="s", target_size=size, share=ShareConfig(leaves=0.0), node_rules=found, **more
    )
    return plan_sample(sample, LEVELS, all_points(LEVELS), size, seed=3, rules=found)


def of_leaves(share: Share) -> list[int]:
    return share.strata[0].quotas[0].tolist()


def rule(level: int, node_id: int, kind: str, value: float | None = None) -> dict[str, Any]:
    return {"level": level, "node_id": node_id, "rule": kind, "value": value}


def test_without_rules_nodes_share_evenly() -> None:
    assert of_leaves(planned()) == [3, 3, 3, 3]


def test_a_dropped_node_gives_nothing_and_its_sibling_more() -> None:
    share = planned(rule(1, 0, "drop"))
    assert of_leaves(share) == [0, 6, 3, 3]
    weights = share.of_leaves()["pool_weight"].to_pylist()
    assert np.dot(weights, [6, 3, 3]) == pytest.approx(30)  # of the points that it could hold
    assert of_leaves(planned(rule(2, 1, "drop"))) == [6, 6, 0, 0]
    with pytest.raises(ConfigError, match=r"node_rules leaves 20; want 20 or fewer"):
        planned(rule(2, 1, "drop"), size=21)


def test_a_weight_multiplies_a_nodes_among_its_siblings() -> None:
    assert of_leaves(planned(rule(1, 0, "weight", 2))) == [4, 2, 3, 3]
    assert of_leaves(planned(rule(2, 0, "weight", 0.5))) == [2, 2, 4, 4]


def test_a_cap_bounds_a_nodes_rows() -> None:
    assert of_leaves(planned(rule(1, 2, "cap", 1))) == [3, 3, 1, 5]
    assert of_leaves(planned(rule(2, 0, "cap", 2), rule(1, 2, "weight", 4))) == [1, 1, 8, 2]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([rule(3, 0, "drop")], "drop node 0 of level 3: .* of 4 at level 1, 2 at level 2"),
        ([rule(2, 2, "drop")], "drop node 2 of level 2: .* of 4 at level 1, 2 at level 2"),
        ([rule(1, 0, "cap", 1), rule(1, 0, "cap", 2)], "cap node 0 of level 1 is said twice"),
    ],
)
def test_a_node_must_be_there_and_have_a_rule_once(rules: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(*rules)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("drop", 1, "drop with value=1; want none"),
        ("weight", None, "weight without a value"),
        ("weight", 0, "weight with value=0; want 1e-06 or more, or drop"),
        ("cap", 1.5, "cap with value=1.5; want a whole number"),
        ("keep", None, "Input should be"),
    ],
)
def test_a_rule_has_the_value_that_it_needs(kind: str, value: float | None, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NodeRule.model_validate(rule(1, 0, kind, value))


def test_rules_and_other_constraints_that_exclude_each_other() -> None:
    dropped = [NodeRule.model_validate(rule(2, 0, "drop"))]
    sample = SampleConfig(
        name="s", target_size=4, must_include="x", share=ShareConfig(leaves=0.0), node_rules=dropped
    )
    counts = Counts(LEVELS[0].n_points[None], np.array([[2, 0, 0, 0]]))
    with pytest.raises(ConfigError, match="2 rows that must be included are below nodes"):
        plan_sample(sample, LEVELS, counts, 4, seed=3, rules=dropped)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_every_prefix_is_the_sample_of_its_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = random_tree(rng)
    rules = []
    for t, level in enumerate(levels, start=1):
        for node in range(len(level.parents)):
            kind = rng.choice(["drop", "weight", "cap", ""], p=[0.1, 0.3, 0.2, 0.4])
            value = {"weight": 0.5 + 3 * rng.random(), "cap": float(rng.integers(9))}.get(kind)
            if kind:
                rules.append(NodeRule.model_validate(rule(t, node, kind, value)))
    sample = SampleConfig(
        name="s", target_size=10**6, share=ShareConfig(leaves=0.0), node_rules=rules
    )
    whole = plan_sample(sample, levels, all_points(levels), 10**6, seed=3, rules=rules)
    if whole.size == 0:
        return
    size = int(rng.integers(1, whole.size + 1))
    small = plan_sample(sample, levels, all_points(levels), size, seed=3, rules=rules)
    quotas, positions = small.strata[0].quotas[0], whole.strata[0].positions
    leaf_of = np.repeat(np.arange(len(levels[0].parents)), whole.strata[0].quotas[0])
    assert np.bincount(leaf_of[positions < size], minlength=len(quotas)).tolist() == quotas.tolist()
    for r in rules:
        quota = small.strata[0].quotas[r.level - 1][r.node_id]
        assert quota <= {"drop": 0, "cap": r.value}.get(r.rule, np.inf)
