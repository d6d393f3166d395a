"""Clusters' sums: against an oracle, whatever the labels, below and above a core's cache."""

import numpy as np
import pytest

from udfs.kernels.passes.cluster_sums import ClusterSums

N_FEATURES = 24


@pytest.mark.parametrize("n_clusters", [3, 60_000])
@pytest.mark.parametrize("n_labels", [1, 7, 60_000])
def test_points_added_and_taken_leave_the_sums_of_the_rest(n_clusters: int, n_labels: int) -> None:
    rng = np.random.default_rng(n_labels)
    X = rng.integers(-(2**23), 2**23, (500, N_FEATURES)).astype(np.float32)
    labels = rng.integers(0, min(n_labels, n_clusters), len(X)).astype(np.int32)
    clusters = ClusterSums(n_clusters, N_FEATURES)
    for run in (slice(0, 300), slice(300, 500)):
        clusters.widened(X[run])
        clusters.apply(np.add, labels[run])
    clusters.widened(X[100:400])
    clusters.apply(np.subtract, labels[100:400])
    left = np.r_[0:100, 400:500]
    expected = np.zeros((n_clusters, N_FEATURES))
    np.add.at(expected, labels[left], X[left].astype(float))
    assert np.array_equal(clusters.sums, expected)
    assert np.array_equal(clusters.counts, np.bincount(labels[left], minlength=n_clusters))
    assert np.array_equal(np.flatnonzero(clusters.is_touched), np.unique(labels))
