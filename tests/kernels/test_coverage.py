"""Coverage and the report's rows: by hand, and the pool itself as a perfect sample."""

import numpy as np
import pytest

from jobs.reporting.rows import balance_rows, label_rows
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.judging.coverage import (
    IndependentNodes,
    cluster_independently,
    distances_to,
    measure_communities,
    measure_coverage,
)

# two nodes on a line: a dense one at 0 with three points, a thin one at 100 with one
POINTS = np.array([[0.0], [1.0], [2.0], [100.0]], dtype=np.float32)
NODES = IndependentNodes(
    POINTS, np.array([0, 0, 0, 1], np.int32), Centroids(np.array([[1.0], [100.0]], np.float32))
)


def covered(nodes: IndependentNodes, sampled: np.ndarray) -> dict[str, float]:
    distances = distances_to(nodes.points, sampled, n_threads=2)
    return measure_coverage(nodes, sampled, distances, n_threads=2)


def test_every_node_counts_the_same_dense_or_thin() -> None:
    only_dense = covered(NODES, POINTS[:1])
    # dense node: (0 + 1 + 2) / 3 = 1; thin node: 100; their mean
    assert only_dense["coverage_distance"] == pytest.approx(50.5)
    assert only_dense["nodes_reached_share"] == 0.5
    both = covered(NODES, POINTS[[0, 3]])
    assert both["coverage_distance"] == pytest.approx(0.5)
    assert both["effective_nodes"] == pytest.approx(2)


def test_every_community_counts_the_same_and_points_in_none_do_not() -> None:
    communities = np.array([0, 0, -1, 1])
    sampled = np.array([[0.0], [1.0], [2.0], [90.0]], np.float32)
    distances = distances_to(POINTS, sampled, n_threads=1)
    figures = measure_communities(POINTS, communities, sampled, distances, n_threads=1)
    # community 0: points 0 and 1 are sampled; community 1: 10 away; 2 counts for nothing
    assert figures["coverage_distance"] == pytest.approx((0 + 10) / 2)
    # two sampled points are nearest to community 0, one to none, one to community 1
    assert figures["effective_communities"] == pytest.approx(
        np.exp(-np.log([2 / 3] * 2 + [1 / 3]).mean())
    )
    assert figures["kl_uniform"] == pytest.approx(
        np.log(2) - np.log(figures["effective_communities"])
    )


def test_the_pool_covers_itself() -> None:
    X = np.random.default_rng(0).integers(-1000, 1000, (800, 3)).astype(np.float32)
    nodes = cluster_independently(X, seed=1, n_threads=1)
    assert nodes.n_nodes == 80
    figures = covered(nodes, X)
    assert figures["coverage_distance"] == 0
    assert figures["nodes_reached_share"] == 1


def test_a_pool_of_few_distinct_points_still_has_nodes() -> None:
    X = np.repeat(np.array([[1.0], [5.0]], np.float32), 50, axis=0)
    assert cluster_independently(X, seed=0, n_threads=1).n_nodes == 2


def test_balance_rows_set_the_control_beside_the_sample() -> None:
    rows = balance_rows(2, "s", np.array([5, 5]), np.array([10, 0]))
    found = {row.metric: row for row in rows if row.section == "balance"}
    assert found["kl_uniform"].value == pytest.approx(0)
    assert found["kl_uniform"].control == pytest.approx(np.log(2))
    assert {row.level for row in rows} == {2}
    lorenz = [(row.x, row.value) for row in rows if row.section == "lorenz"]
    assert (lorenz[0], lorenz[-1]) == ((0, 0), (1, 1))


def test_labels_absent_from_a_sample_still_count() -> None:
    rows = label_rows("s", {"a": 4}, {"a": 2, "b": 2}, ["a", "b"])
    counts = {row.key: (row.value, row.control) for row in rows if row.metric == "count"}
    assert counts == {"a": (4, 2), "b": (0, 2)}
    (kl,) = [row for row in rows if row.metric == "kl_uniform"]
    assert (kl.value, kl.control) == (pytest.approx(np.log(2)), pytest.approx(0))
