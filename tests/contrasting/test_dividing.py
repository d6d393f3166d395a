"""Clusters of the base: tiny ones join the nearest, by hand; what is left keeps all points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.config.errors import InputError
from jobs.contrasting.dividing import Merge, centroids_of, merge_tiny
from jobs.contrasting.measured import few_shot_accuracy, few_shots, report_of, rows_of
from udfs.kernels.contrast.moments import Moments


def cluster(n: int) -> Moments:
    """Return moments that tell how many points they are of."""
    return Moments(n, np.array([n]), np.array([[n]]), np.array([[0]]))


def test_tiny_clusters_join_the_nearest_smallest_first_by_hand() -> None:
    centroids = np.array([[0], [10], [11], [30], [31]], np.float32)
    found = merge_tiny([cluster(n) for n in (50, 3, 5, 40, 2)], centroids, 0.1)
    # 4 joins 3; 1 joins 2, which has 8 then, still too few, and joins the nearest: 0
    assert found.merges == [Merge(4, 2, 3), Merge(1, 3, 2), Merge(2, 8, 0)]
    assert found.left == [0, 3]
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    assert [each.n for each in found.moments] == [58, 42]
    assert [each.plus.item() for each in found.moments] == [58, 42]


def test_the_last_of_equal_clusters_goes_first_and_ties_go_to_the_first() -> None:
    centroids = np.array([[0], [2], [1]], np.float32)
    found = merge_tiny([cluster(4), cluster(4), cluster(1)], centroids, 0.2)
    assert found.merges == [Merge(2, 1, 0)]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.floats(0, 0.9))
def test_no_point_is_lost_and_no_cluster_is_too_small(sizes: list[int], share: float) -> None:
    centroids = np.arange(len(sizes), dtype=np.float32)[:, None] ** 2
    found = merge_tiny([cluster(n) for n in sizes], centroids, share)
    assert sum(each.n for each in found.moments) == sum(sizes)
    for k, each in enumerate(found.moments):
        assert each.n == sum(n for n, at in zip(sizes, found.labels, strict=True) if at == k)
        assert len(found.moments) == 1 or each.n >= max(2, share * sum(sizes))


def test_more_clusters_than_distinct_codes_are_refused() -> None:
    codes = np.repeat(np.eye(2, dtype=np.float32) * 2**24, 30, axis=0)
    assert len(centroids_of(codes, 2, seed=0)) == 2
    with pytest.raises(InputError, match="contrast.n_clusters=3, but fewer points differ"):
        centroids_of(codes, 3, seed=0)


def test_every_figure_stands_beside_each_control() -> None:
    report = report_of({"hardness": {"base_only": 1.0, "random_partition": 2.0, "divided": 3.0}})
    assert report.to_pylist() == [
        {"metric": "hardness", "beside": "base_only", "value": 3.0, "control": 1.0},
        {"metric": "hardness", "beside": "random_partition", "value": 3.0, "control": 2.0},
    ]


def test_merges_are_rows_of_the_report() -> None:
    report = report_of({"hardness": {"base_only": 1.0, "divided": 3.0}})
    rows = rows_of("pool", report, np.array([[4, 2, 3], [5, 0, 1]]), 2)
    assert [(row.key, row.metric, row.value, row.control) for row in rows] == [
        ("2", "hardness, beside base_only", 3.0, 1.0),
        ("2", "points of cluster 4, merged into 3", 2.0, None),
    ]


def test_few_shots_are_five_of_each_label_that_has_ten() -> None:
    y = np.array(["a"] * 30 + ["b"] * 30 + ["rare"] * 9)
    drawn = few_shots(y, rng=np.random.default_rng(0))
    assert [int(drawn[y == label].sum()) for label in ("a", "b", "rare")] == [5, 5, 0]
    X = np.where(y == "a", 1.0, -1.0).astype(np.float32)[:, None]
    assert few_shot_accuracy(X, y, [drawn]) == 1  # the rare are not tested
    assert np.isnan(few_shot_accuracy(X, y, [drawn & (y == "a")]))
