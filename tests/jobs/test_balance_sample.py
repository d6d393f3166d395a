"""Samples: draws by hand, exact sizes, nesting, independence of partitioning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.testing import assertDataFrameEqual

from jobs.points.ranks import ranked
from jobs.sampling.candidates import anyone
from jobs.sampling.drawing import draw_points
from jobs.sampling.shares import Share, Stratum, read_levels, sharing_of
from jobs.sections.samples import SampleConfig
from jobs.sections.share import ShareConfig
from tests.sampling.trees import random_tree
from udfs.kernels.sampling.allocation import (
    Sharing,
    TreeLevel,
    admitted,
    pool_weights,
    quotas_down,
)

FOUR_IN_TWO_LEAVES = [("a", 0, 4.0), ("b", 0, 1.0), ("c", 0, 1.0), ("d", 1, 0.0)]


def assignments(spark: SparkSession, rows: list[tuple[str, int, float]]) -> DataFrame:
    return anyone(spark.createDataFrame(rows, "id string, leaf_id long, sq_distance double"))


def quotas(spark: SparkSession, rows: list[tuple[str, int, int, int]]) -> DataFrame:
    columns = "sample string, leaf_id long, quota long, n_points long"
    leaves = spark.createDataFrame(rows, columns).withColumn("pool_weight", F.lit(1.0))
    leaves = leaves.withColumn("stratum", F.lit(0))
    return leaves.withColumn("positions", F.sequence(F.lit(0), F.col("quota") - 1))


def test_closest_points_come_first_ties_by_id(spark: SparkSession) -> None:
    drawn = draw_points(
        ranked(assignments(spark, FOUR_IN_TWO_LEAVES), strategy="closest", seed=0),
        quotas(spark, [("s", 0, 2, 3), ("s", 1, 1, 1)]),
    )
    expected = [("s", "b", 0, 0, 0), ("s", "c", 0, 0, 1), ("s", "d", 1, 0, 0)]
    got = drawn.select("sample", "id", "leaf_id", "replica", "rank")
    assertDataFrameEqual(got, spark.createDataFrame(expected, got.schema))


def test_replicas_come_after_every_point_had_its_turn(spark: SparkSession) -> None:
    drawn = draw_points(
        ranked(assignments(spark, FOUR_IN_TWO_LEAVES), strategy="closest", seed=0),
        quotas(spark, [("s", 0, 4, 3), ("s", 1, 3, 1)]),
    )
    got = {(r.id, r.replica, r["rank"]) for r in drawn.collect()}
    assert got == {
        ("b", 0, 0), ("c", 0, 1), ("a", 0, 2), ("b", 1, 3), ("d", 0, 0), ("d", 1, 1), ("d", 2, 2),
    }  # fmt: skip


def test_draws_do_not_depend_on_partitioning_and_nest(spark: SparkSession) -> None:
    rng = np.random.default_rng(0)
    points = [(f"p{i:03d}", int(rng.integers(0, 5)), float(rng.integers(0, 3))) for i in range(200)]
    sizes = np.bincount([leaf for _, leaf, _ in points], minlength=5)
    wanted = quotas(
        spark,
        [("small", j, 3, int(sizes[j])) for j in range(5)]
        + [("large", j, 11, int(sizes[j])) for j in range(5)],
    )
    found = [
        {
            (r.sample, r.id, r["rank"])
            for r in draw_points(
                ranked(assignments(spark, points).repartition(n), strategy="random", seed=3), wanted
            ).collect()
        }
        for n in (1, 7)
    ]
    assert found[0] == found[1]
    small, large = (
        {(id_, rank) for sample, id_, rank in found[0] if sample == name}
        for name in ("small", "large")
    )
    assert small < large
    assert (len(small), len(large)) == (15, 55)


def test_the_tree_comes_leaves_first_node_after_node(spark: SparkSession) -> None:
    rows = [
        (2, 1, None, 1, 4),
        (1, 2, 0, 1, 3),
        (1, 0, 1, 1, 4),
        (2, 0, None, 2, 5),
        (1, 1, 0, 1, 2),
    ]
    columns = "level int, node_id long, parent_id long, n_leaves long, n_points long"
    leaves, top = read_levels(spark.createDataFrame(rows, columns).repartition(7).toArrow())
    assert [leaves.parents.tolist(), leaves.n_points.tolist()] == [[1, 0, 0], [4, 2, 3]]
    assert [top.parents.tolist(), top.n_points.tolist()] == [[0, 0], [5, 4]]
    assert [leaves.n_leaves.tolist(), top.n_leaves.tolist()] == [[1, 1, 1], [2, 1]]


@settings(max_examples=60)
@given(
    rng=st.integers(0, 2**31).map(np.random.default_rng),
    leaves=st.sampled_from([0.0, 0.5, 1.0]),
    points=st.sampled_from([0.0, 1.0]),
    replicas=st.integers(1, 3),
)
def test_sizes_are_exact_and_samples_nest_all_the_way_down(
    rng: np.random.Generator, leaves: float, points: float, replicas: int
) -> None:
    levels = random_tree(rng)
    sharing = Sharing(1, leaves=leaves, points=points, replicas=replicas)
    capacity = int(levels[0].n_points.sum()) * replicas
    before = [np.zeros(len(level.parents), np.int64) for level in levels]
    for target in sorted(rng.integers(1, capacity + 20, 4)):
        quotas_ = quotas_down(levels, int(target), sharing)
        for level, quota, smaller in zip(levels, quotas_, before, strict=True):
            assert quota.sum() == min(target, capacity)
            assert (quota <= level.n_points * replicas).all()
            assert (quota >= smaller).all()
        before = quotas_


def test_share_of_points_alone_is_a_proportional_draw() -> None:
    leaves = TreeLevel(np.zeros(3, int), np.ones(3, int), np.array([600, 300, 100]))
    assert quotas_down([leaves], 10, Sharing(0, points=1.0))[0].tolist() == [6, 3, 1]


def test_rows_are_admitted_in_the_order_of_their_quotas_by_hand() -> None:
    # two nodes of equal weight: leaves 0 and 1 below the first, leaf 2 below the second
    leaves = TreeLevel(np.array([0, 0, 1]), np.ones(3, int), np.array([2, 1, 9]))
    top = TreeLevel(np.zeros(2, int), np.array([2, 1]), np.array([3, 9]))
    sharing = Sharing(4)
    first = [int(np.argmin(sharing.order(2, 2))), int(np.argmin(sharing.order(1, 3)[:2]))]
    quotas_ = quotas_down([leaves, top], 5, sharing)
    leaf = np.repeat(np.arange(3), quotas_[0])[
        np.argsort(admitted([leaves, top], quotas_, sharing))
    ]
    nodes = leaves.parents[leaf]
    # the nodes take turns, the one that is first in their order beginning
    assert nodes.tolist() == [first[0], 1 - first[0]] * 2 + [first[0]]
    assert leaf[nodes == 0].tolist() == [first[1], 1 - first[1], 0][: quotas_[1][0]]


@settings(max_examples=60)
@given(
    rng=st.integers(0, 2**31).map(np.random.default_rng),
    leaves=st.sampled_from([0.0, 0.5, 1.0]),
    points=st.sampled_from([0.0, 1.0]),
    replicas=st.integers(1, 3),
)
def test_every_prefix_is_the_sample_of_its_size(
    rng: np.random.Generator, leaves: float, points: float, replicas: int
) -> None:
    levels = random_tree(rng)
    sharing = Sharing(1, leaves=leaves, points=points, replicas=replicas)
    quotas_ = quotas_down(levels, int(rng.integers(1, 2000)), sharing)
    positions, n = admitted(levels, quotas_, sharing), quotas_[0].sum()
    leaf = np.repeat(np.arange(len(quotas_[0])), quotas_[0])
    assert sorted(positions) == list(range(n))
    for size in rng.integers(0, n + 1, 5):
        prefix = np.bincount(leaf[positions < size], minlength=len(quotas_[0]))
        np.testing.assert_array_equal(prefix, quotas_down(levels, int(size), sharing)[0])
    same_leaf = np.diff(leaf) == 0
    assert (np.diff(positions)[same_leaf] > 0).all()  # by rank


def test_weights_speak_for_the_pool_by_hand() -> None:
    # leaf 1 has no quota: its two points count for their parent's other leaf
    leaves = TreeLevel(np.array([0, 0, 1]), np.ones(3, int), np.array([4, 2, 9]))
    top = TreeLevel(np.zeros(2, int), np.array([2, 1]), np.array([6, 9]))
    got = pool_weights([leaves, top], [np.array([3, 0, 1]), np.array([3, 1])])
    assert got.tolist() == [2.0, 0.0, 9.0]


@settings(max_examples=40)
@given(rng=st.integers(0, 2**31).map(np.random.default_rng), replicas=st.integers(1, 2))
def test_weights_sum_to_the_pools_size(rng: np.random.Generator, replicas: int) -> None:
    levels = random_tree(rng)
    quotas_ = quotas_down(levels, int(rng.integers(1, 90)), Sharing(1, replicas=replicas))
    total = (pool_weights(levels, quotas_) * quotas_[0]).sum()
    assert total == pytest.approx(levels[0].n_points.sum())


def test_a_drawn_row_has_its_position_and_weight(spark: SparkSession) -> None:
    points = [(f"p{i:02d}", i % 3, float(i)) for i in range(30)]
    level = TreeLevel(np.zeros(3, int), np.ones(3, int), np.full(3, 10))
    sample = SampleConfig(name="s", target_size=35, replicas=2, share=ShareConfig(leaves=0.0))
    share = Share(sample, [Stratum([level], 35, sharing_of(sample, 2))])
    drawn = draw_points(
        ranked(assignments(spark, points), strategy="random", seed=2),
        spark.createDataFrame(share.of_leaves()),
    ).collect()
    assert sorted(row.position for row in drawn) == list(range(35))
    by_position = sorted(drawn, key=lambda row: row.position)
    for size in (1, 7, 30, 34):
        counts = np.bincount([row.leaf_id for row in by_position[:size]], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert sum(row.pool_weight for row in drawn) == pytest.approx(30)
