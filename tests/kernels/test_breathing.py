"""Breathing: finds the planted clusters that k-means++ misses, and never makes things worse."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances

from udfs.kernels.breathing import LookAround, breathe
from udfs.kernels.grid import join_limbs, to_grid
from udfs.kernels.iterations import KMeansParams
from udfs.kernels.kmeans import fit_kmeans
from udfs.kernels.nearest import Centroids
from udfs.kernels.sources import blocks_of
from udfs.kernels.steps.draws import CountMembers
from udfs.kernels.steps.sums import AssignAndSum

LLOYD = KMeansParams(algorithm="lloyd")


def inertia(X: NDArray[np.float32], C: NDArray[np.float32]) -> int:
    return join_limbs(blocks_of(X).reduce(AssignAndSum(Centroids(C)))["objective"])


def test_a_centroid_moves_from_a_shared_cluster_to_two_that_share_one() -> None:
    # Three pairs of points; two centroids sit on the first pair, one between the other two.
    X = np.array([[0.0], [2.0], [100.0], [102.0], [200.0], [202.0]], np.float32)
    stuck = np.array([[0.0], [2.0], [151.0]], np.float32)
    assert sorted(breathe(blocks_of(X), stuck, LLOYD, seed=0)[:, 0].tolist()) == [1, 101, 201]


def test_utility_is_what_inertia_would_grow_by(seed: int) -> None:
    X = np.random.default_rng(seed).integers(-50, 50, (700, 3)).astype(np.float32)
    C = np.unique(X, axis=0)[::90]
    around = blocks_of(X).reduce(LookAround(Centroids(C)))
    whole = inertia(X, C)
    assert join_limbs(around["inertia"].sum(axis=0)) == whole
    for j, limbs in enumerate(around["utility"]):
        assert join_limbs(limbs) == inertia(X, np.delete(C, j, axis=0)) - whole
    labels = pairwise_distances(X, C).argmin(axis=1)
    for j, row in enumerate(around["rows"]):
        assert (X[labels == j] == row).all(axis=1).any()


def test_planted_clusters_get_their_centroids(seed: int) -> None:
    missed = np.zeros(2, int)
    for draw in range(5):
        rng = np.random.default_rng([seed, draw])
        centres = rng.standard_normal((60, 32))
        X = np.repeat(centres, 10, axis=0) + 0.7 * rng.standard_normal((600, 32))
        source, planted = blocks_of(to_grid(X, 2.0**-20)), blocks_of(to_grid(centres, 2.0**-20))
        plain = fit_kmeans(source, 60, LLOYD, seed=seed)
        for i, C in enumerate((plain, breathe(source, plain, LLOYD, seed=seed))):
            missed[i] += (planted.reduce(CountMembers(Centroids(C)))["counts"] == 0).sum()
    assert missed[1] < missed[0] / 4


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_inertia_never_rises(seed: int, k: int) -> None:
    X = np.random.default_rng(seed).integers(-9, 10, (60, 2)).astype(np.float32)
    plain = fit_kmeans(blocks_of(X), k, LLOYD, seed=seed)
    breathed = breathe(blocks_of(X), plain, LLOYD, seed=seed)
    assert len(breathed) == k
    assert inertia(X, breathed) <= inertia(X, plain)
