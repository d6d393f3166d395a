"""Constraints of a sample: by hand, and against an integer program that knows nothing of trees."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from jobs.bounds.values import bounds_of_values, rows_of_shares
from jobs.config.errors import ConfigError
from jobs.sampling.counts import Counts, all_points
from jobs.sampling.planned import plan_sample
from jobs.sampling.shares import Share
from jobs.sections.likeness import LikeConfig
from jobs.sections.node_rules import NodeRule
from jobs.sections.samples import (
    PerNodeConfig,
    QuotasConfig,
    SampleConfig,
    ValueQuota,
)
from jobs.sections.share import ShareConfig
from tests.sampling.trees import random_tree
from udfs.kernels.sampling.allocation import TreeLevel

EVEN = ShareConfig(leaves=0.0)
FLAT = [TreeLevel(np.zeros(4, int), np.ones(4, int), np.array([10, 10, 10, 10]))]


def sample(target_size: int, **more: Any) -> SampleConfig:
    return SampleConfig(name="s", target_size=target_size, share=EVEN, **more)


def planned(wanted: SampleConfig, levels: Sequence[TreeLevel], counts: Counts) -> Share:
    rules = wanted.node_rules
    if not isinstance(rules, list):
        raise TypeError("want a list of rules")
    size, seeds = wanted.rows_of(10**6), {key: seeds_in(levels) for key in wanted.seeds}
    return plan_sample(wanted, levels, counts, size, seed=3, rules=rules, seeds=seeds)


def seeds_in(levels: Sequence[TreeLevel]) -> NDArray[np.int64]:
    """Return the seeds in each leaf; a third of the leaves has none."""
    return levels[0].n_points % 3


def of_leaves(share: Share) -> list[list[int]]:
    return [stratum.quotas[0].tolist() for stratum in share.strata]


def counts_of(*n_points: Sequence[int], included: Sequence[Sequence[int]] | None = None) -> Counts:
    found = np.array(n_points)
    return Counts(found, np.zeros_like(found) if included is None else np.array(included))


def test_what_must_be_included_comes_first() -> None:
    counts = counts_of([10, 10, 10, 10], included=[[5, 0, 0, 0]])
    share = planned(sample(8, must_include="x"), FLAT, counts)
    assert of_leaves(share) == [[5, 1, 1, 1]]
    first_five = share.of_leaves()["positions"].to_pylist()[0]
    assert first_five == [0, 1, 2, 3, 4]


def test_leaves_without_candidates_give_their_place_to_others() -> None:
    share = planned(sample(9, must_exclude="x"), FLAT, counts_of([10, 10, 10, 0]))
    assert of_leaves(share) == [[3, 3, 3, 0]]


def test_values_have_their_share_count_and_the_rest() -> None:
    quotas = QuotasConfig(
        by="language", values={"en": ValueQuota(share=0.5), "de": ValueQuota(count=2)}
    )
    counts = counts_of([5, 5, 0, 0], [5, 0, 5, 0], [0, 5, 5, 10])
    share = planned(sample(12, quotas=quotas), FLAT, counts)
    assert [sum(stratum) for stratum in of_leaves(share)] == [6, 2, 4]
    assert of_leaves(share)[0] == [3, 3, 0, 0]  # and each is balanced


def test_bounds_that_do_not_bite_change_nothing() -> None:
    quotas = QuotasConfig(by="language", values={"en": ValueQuota(min=1, max=11)})
    counts = counts_of([5, 5, 5, 5], [5, 5, 5, 5])
    share = planned(sample(12, quotas=quotas), FLAT, counts)
    assert [sum(stratum) for stratum in of_leaves(share)] == [6, 6]


def test_nodes_have_a_least_and_a_most() -> None:
    wanted = sample(20, per_node=PerNodeConfig(level=1, max=4))
    with pytest.raises(ConfigError, match=r"per_node.max leaves 16; want 16 or fewer"):
        planned(wanted, FLAT, all_points(FLAT))
    skewed = [TreeLevel(np.zeros(3, int), np.ones(3, int), np.array([1000, 9, 2]))]
    wanted = SampleConfig(
        name="s", target_size=10, share=ShareConfig(leaves=0.0, points=1.0),
        per_node=PerNodeConfig(level=1, min=3),
    )  # fmt: skip
    assert of_leaves(planned(wanted, skewed, all_points(skewed))) == [[5, 3, 2]]


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"must_include": "x"}, "target_size is 3 rows, and its constraints demand 5; want 5"),
        (
            {"quotas": QuotasConfig(by="a", values={"b": ValueQuota(count=50)})},
            r"quotas.values.b: 50 rows are wanted, and 40 of that value can be drawn; want at most",
        ),
        (
            {"quotas": QuotasConfig(by="a", values={"b": ValueQuota(max=2)}), "must_include": "x"},
            "at most 2 rows are wanted, and 5 of that value must be included; want 5 or more",
        ),
        (
            {"per_node": PerNodeConfig(level=1, max=3), "must_include": "x"},
            "holds 5 rows that must be included, and per_node.max or a rule allows 3",
        ),
        ({"per_node": PerNodeConfig(level=2)}, "level=2: the tree has 1 level"),
    ],
)
def test_what_cannot_be_met_is_named(more: dict[str, object], match: str) -> None:
    strata = 2 if "quotas" in more else 1
    n_points = [[10] * 4] + [[0] * 4] * (strata - 1)
    included = [[5, 0, 0, 0]] + [[0] * 4] * (strata - 1)
    with pytest.raises(ConfigError, match=match):
        planned(sample(3, **more), FLAT, counts_of(*n_points, included=included))


TWO_VALUES = counts_of([10, 10, 0, 0], [0, 10, 10, 10], [0, 0, 0, 0])


def quotas_of(**counts: int) -> QuotasConfig:
    values = {name: ValueQuota(count=n) for name, n in counts.items()}
    return QuotasConfig(by="language", values=values)


def test_values_and_nodes_have_their_bounds_together() -> None:
    quotas = quotas_of(en=6, de=6)
    alone = planned(sample(12, quotas=quotas), FLAT, TWO_VALUES)
    assert of_leaves(alone)[:2] == [[3, 3, 0, 0], [0, 2, 2, 2]]
    # leaf 1 may give 4: a row of either value goes elsewhere
    share = planned(
        sample(12, quotas=quotas, per_node=PerNodeConfig(level=1, max=4)), FLAT, TWO_VALUES
    )
    found = np.array(of_leaves(share))
    assert found.sum(axis=1).tolist() == [6, 6, 0]
    assert found.sum(axis=0).max() == 4
    assert np.abs(found - of_leaves(alone)).sum() == 2


def test_bounds_of_nodes_that_do_not_bite_change_no_quota() -> None:
    quotas = quotas_of(en=6, de=6)
    alone = planned(sample(12, quotas=quotas), FLAT, TWO_VALUES)
    loose = PerNodeConfig(level=1, min=1, max=5)
    both = planned(sample(12, quotas=quotas, per_node=loose), FLAT, TWO_VALUES)
    assert of_leaves(both) == of_leaves(alone)
    assert both.of_leaves() == alone.of_leaves()


def test_values_and_nodes_that_exclude_each_other_name_the_nearest_size() -> None:
    quotas = QuotasConfig(by="language", values={"en": ValueQuota(min=2)})
    counts, per_node = counts_of([10, 0, 0, 0], [0, 10, 10, 10]), PerNodeConfig(level=1, max=3)
    with pytest.raises(ConfigError, match=r"20 rows, and quotas beside per_node allow 12; want 12"):
        planned(sample(20, quotas=quotas, per_node=per_node), FLAT, counts)
    with pytest.raises(ConfigError, match="quotas beside per_node cannot be met at any size"):
        planned(sample(8, quotas=quotas_of(en=4), per_node=per_node), FLAT, counts)


def test_a_cap_on_the_whole_tree_leaves_nodes_as_uneven_as_values_need_them() -> None:
    levels = [*FLAT, TreeLevel(np.zeros(1, int), np.array([4]), np.array([40]))]
    few_of_first = [NodeRule(level=1, node_id=0, rule="cap", value=1)]
    wanted = sample(
        6, quotas=quotas_of(en=5), per_node=PerNodeConfig(max=6), node_rules=few_of_first
    )
    share = planned(wanted, levels, counts_of([5, 0, 0, 9], [0, 2, 2, 0]))
    en, others = of_leaves(share)
    assert en == [1, 0, 0, 4]
    assert sum(others) == 1


@pytest.mark.parametrize("level", [1, 2])
def test_a_least_asks_of_no_node_more_than_its_caps_allow(level: int) -> None:
    levels = [
        TreeLevel(np.array([0, 0, 1, 1]), np.ones(4, int), np.array([10, 10, 10, 10])),
        TreeLevel(np.zeros(2, int), np.array([2, 2]), np.array([20, 20])),
    ]
    caps = [NodeRule(level=1, node_id=node, rule="cap", value=1) for node in (0, 1)]
    wanted = sample(12, per_node=PerNodeConfig(level=level, min=4), node_rules=caps)
    assert of_leaves(planned(wanted, levels, all_points(levels))) == [[1, 1, 5, 5]]


def test_a_table_of_too_many_values_and_nodes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.sampling.planned.MOST_CELLS", 11)
    wanted = sample(12, quotas=quotas_of(en=6, de=6), per_node=PerNodeConfig(level=1, max=4))
    with pytest.raises(ConfigError, match="are a table of 12 cells; want at most 11: bound"):
        planned(wanted, FLAT, TWO_VALUES)


def below(levels: Sequence[TreeLevel], depth: int) -> NDArray[np.int64]:
    """Return each leaf's node at a level : (n_leaves,)."""
    node = np.arange(len(levels[0].parents))
    for level in levels[: depth - 1]:
        node = level.parents[node]
    return node


def reaches(
    wanted: SampleConfig, levels: Sequence[TreeLevel], most: NDArray[np.int64], depth: int
) -> NDArray[np.int64]:
    """Return the most rows below each node of a level that points and caps allow : (n_nodes,)."""
    for t, level in enumerate(levels[:depth]):
        if t:
            found = np.zeros(len(level.parents), np.int64)
            np.add.at(found, levels[t - 1].parents, most)
            most = found
        for rule in wanted.node_rules:
            if rule.level == t + 1:
                most[rule.node_id] = min(most[rule.node_id], int(rule.value))
    return most


def possible(
    wanted: SampleConfig,
    levels: Sequence[TreeLevel],
    counts: Counts,
    size: int,
    exactly: NDArray[np.int64] | None = None,
) -> bool:
    """Return whether any sample of that size meets the constraints, by an integer program."""
    n_strata, n_leaves = counts.n_points.shape
    n = n_strata * n_leaves
    rows, low, high = [np.ones(n)], [size], [size]
    least, most = counts.n_included, counts.n_points * wanted.replicas
    if wanted.like is not None and wanted.like.strict:
        most = np.where(seeds_in(levels) == 0, 0, most)
    if wanted.quotas is not None:
        for i, (fewest, largest) in enumerate(bounds_of_values(wanted.quotas, size)):
            row = np.zeros((n_strata, n_leaves))
            row[i] = 1
            rows.append(row.ravel())
            low.append(fewest)
            high.append(size if largest is None else largest)
    if wanted.per_node is not None:
        depth = len(levels) if wanted.per_node.level == "top" else wanted.per_node.level
        node = below(levels, depth)
        reach = reaches(wanted, levels, most.sum(axis=0), depth)
        for j, there in enumerate(reach.tolist()):
            row = np.tile(node == j, (n_strata, 1)).astype(float)
            rows.append(row.ravel())
            low.append(min(wanted.per_node.min, there))
            high.append(wanted.per_node.max or there)
    for rule in wanted.node_rules:
        node = below(levels, rule.level)
        rows.append(np.tile(node == rule.node_id, (n_strata, 1)).astype(float).ravel())
        low.append(0)
        high.append(int(rule.value))
    if exactly is not None:
        least = most = exactly
    found = milp(
        np.zeros(n),
        constraints=LinearConstraint(np.array(rows), low, high),
        integrality=np.ones(n),
        bounds=Bounds(least.ravel(), most.ravel()),
    )
    return bool(found.success)


def constraints(
    rng: np.random.Generator, names: Sequence[str], size: int, levels: Sequence[TreeLevel]
) -> dict[str, object]:
    """Return random constraints of some kinds."""
    more: dict[str, object] = {}
    if "quotas" in names:
        kinds = [
            ValueQuota(share=round(float(rng.random()), 2)),
            ValueQuota(count=int(rng.integers(0, size + 1))),
            ValueQuota(min=int(rng.integers(0, size // 2 + 1)), max=size // 2 + 1),
        ]
        values = {f"v{i}": kinds[rng.integers(3)] for i in range(int(rng.integers(1, 3)))}
        more["quotas"] = QuotasConfig(by="language", values=values)
    if "per_node" in names:
        least = int(rng.integers(0, 6))
        level = [1, 2, "top"][rng.integers(3)]
        more["per_node"] = PerNodeConfig(
            level=level, min=least, max=int(rng.integers(max(1, least), 60))
        )
    if "caps" in names:
        nodes = {(t, int(rng.integers(len(levels[t - 1].parents)))) for t in rng.integers(1, 4, 4)}
        more["node_rules"] = [
            NodeRule(level=int(t), node_id=node, rule="cap", value=int(rng.integers(0, 40)))
            for t, node in sorted(nodes)
        ]
    if "like" in names:
        more["like"] = LikeConfig(table="seeds", strict=bool(rng.integers(2)))
    for name in ("must_include", "must_exclude"):
        if name in names:
            more[name] = "x"
    return more


def random_counts(
    rng: np.random.Generator, levels: Sequence[TreeLevel], wanted: SampleConfig
) -> Counts:
    n = levels[0].n_points
    kept = rng.binomial(n, 0.7) if wanted.must_exclude else n
    n_points = rng.multinomial(kept, np.ones(wanted.n_strata) / wanted.n_strata).T
    included: NDArray[np.int64] = np.zeros_like(n_points)
    if wanted.must_include:
        included = rng.binomial(n_points, 0.1)
    return Counts(n_points, included)


ALONE_AND_IN_PAIRS = [
    ["must_include"], ["must_exclude"], ["quotas"], ["per_node"],
    ["must_include", "must_exclude"], ["must_include", "quotas"], ["must_include", "per_node"],
    ["must_exclude", "quotas"], ["must_exclude", "per_node"], ["quotas", "per_node"],
    ["caps"], ["caps", "quotas"], ["caps", "per_node"], ["caps", "must_include"],
    ["like"], ["like", "must_include"], ["like", "quotas"], ["like", "per_node"], ["like", "caps"],
    ["must_include", "must_exclude", "quotas", "per_node", "caps"],
]  # fmt: skip


@pytest.mark.parametrize("names", ALONE_AND_IN_PAIRS, ids="+".join)
@settings(max_examples=25)
@given(rng=st.integers(0, 2**31).map(np.random.default_rng), replicas=st.integers(1, 2))
def test_a_sample_exists_exactly_if_an_integer_program_finds_one(
    names: list[str], rng: np.random.Generator, replicas: int
) -> None:
    levels = random_tree(rng, max_leaves=12)
    n_possible = int(levels[-1].n_points.sum()) * replicas
    if n_possible < 2:
        return
    size = int(rng.integers(1, n_possible))
    wanted = sample(size, replicas=replicas, **constraints(rng, names, size, levels))
    counts = random_counts(rng, levels, wanted)
    try:
        share = planned(wanted, levels, counts)
    except ConfigError:
        assert not possible(wanted, levels, counts, size)
        return
    assert share.size == size
    quotas = np.array(of_leaves(share))
    assert (quotas >= counts.n_included).all()
    assert (quotas <= counts.n_points * replicas).all()
    assert possible(wanted, levels, counts, size, exactly=quotas)
    positions = np.concatenate(share.of_leaves()["positions"].to_pylist())
    assert sorted(positions) == list(range(size))


@settings(max_examples=25, deadline=None)
@given(rng=st.integers(0, 2**31).map(np.random.default_rng))
def test_the_nearest_size_of_values_beside_nodes_is_the_nearest(rng: np.random.Generator) -> None:
    levels = random_tree(rng, max_leaves=12)
    n_possible = int(levels[-1].n_points.sum())
    if n_possible < 2:
        return
    size = int(rng.integers(1, n_possible))
    low, high = sorted(rng.integers(0, size + 1, 2).tolist())
    quotas = QuotasConfig(by="a", values={"b": ValueQuota(min=low, max=high)})
    wanted = sample(size, quotas=quotas, **constraints(rng, ["per_node"], size, levels))
    counts = random_counts(rng, levels, wanted)
    try:
        planned(wanted, levels, counts)
    except ConfigError as error:
        if "quotas beside per_node" not in str(error):
            return
        if "at any size" in str(error):
            assert not any(possible(wanted, levels, counts, n) for n in range(n_possible))
            return
        nearest = int(str(error).split("want ")[1].split(",")[0])
        between = range(min(nearest, size) + 1, max(nearest, size))
        assert possible(wanted, levels, counts, nearest)
        assert not any(possible(wanted, levels, counts, n) for n in between)


def of_shares(**shares: float) -> QuotasConfig:
    values = {name: {"share": share} for name, share in shares.items()}
    return QuotasConfig.model_validate({"by": "language", "values": values})


@pytest.mark.parametrize(
    ("shares", "size", "rows"),
    [
        ({"a": 0.5, "b": 0.5}, 7, [4, 3]),
        ({"a": 0.5, "b": 0.5}, 5, [3, 2]),
        ({"a": 0.25, "b": 0.25, "c": 0.5}, 10, [3, 2, 5]),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 10, [4, 3, 3]),
        ({"a": 0.3, "b": 0.3, "c": 0.3}, 5, [2, 1, 1]),  # and 1 of all others
        ({"a": 0.25, "b": 0.5}, 10, [2, 5]),  # as rounded
        ({"a": 1.0, "b": 0.0}, 3, [3, 0]),
    ],
)
def test_rows_of_shares_by_hand(shares: dict[str, float], size: int, rows: list[int]) -> None:
    assert [*rows_of_shares(of_shares(**shares), size).values()] == rows


@given(st.lists(st.integers(1, 50), min_size=2, max_size=6), st.integers(1, 3000))
def test_shares_that_sum_to_one_take_all_rows(parts: list[int], size: int) -> None:
    shares = {f"v{i}": part / sum(parts) for i, part in enumerate(parts)}
    rows = rows_of_shares(of_shares(**shares), size)
    assert sum(rows.values()) == size
    assert all(abs(rows[name] - share * size) < 2 for name, share in shares.items())


def test_a_share_holds_where_all_that_is_possible_is_taken() -> None:
    levels = [
        TreeLevel(np.array([0, 0]), np.ones(2, int), np.array([600, 400])),
        TreeLevel(np.array([0]), np.array([2]), np.array([1000])),
    ]
    counts = Counts(np.array([[600, 0], [0, 400]]), np.zeros((2, 2), int))
    wanted = SampleConfig(
        name="s", target_size=5000, share=ShareConfig(leaves=0.0), quotas=of_shares(en=0.5)
    )

    def rows_at(size: int) -> list[int]:
        return [s.size for s in plan_sample(wanted, levels, counts, size, seed=3).strata]

    assert rows_at(5000) == rows_at(1000) == rows_at(800) == [400, 400]
    assert rows_at(701) == [350, 351]
    with pytest.raises(ConfigError, match="and quotas leaves 850; want 800 or fewer"):
        rows_at(900)
    lots = wanted.model_copy(update={"quotas": of_shares(en=0.9)})
    with pytest.raises(ConfigError, match="720 rows are wanted, .* want a target_size of 667 or"):
        plan_sample(lots, levels, counts, 800, seed=3)
