"""The start: distinct candidates, greedy choice against a plain re-implementation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from tests.pools import zipf_mixture
from udfs.kernels.exact.grid import join_limbs, to_grid
from udfs.kernels.exact.hashing import uniform
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans import start
from udfs.kernels.kmeans.start import (
    TooFewDistinct,
    draw_candidates,
    greedy_kmeans_plusplus,
    start_centroids,
)
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.passes.steps.sums import AssignAndSum


def naive_greedy(
    X: NDArray[np.float32], weights: NDArray[np.int64], k: int, seed: int
) -> list[int]:
    """Greedy k-means++ with Python integers for distances and fractions for potentials."""
    trials = 2 + int(math.log(k))
    draws = uniform(seed, np.arange(k * trials)).reshape(k, trials)
    points = X.astype(int).tolist()
    chosen = [int(np.searchsorted(np.cumsum(weights), draws[0, 0] * weights.sum(), "right"))]

    def potentials(chosen: list[int]) -> list[int]:
        return [
            int(w)
            * min(sum((a - b) ** 2 for a, b in zip(p, points[c], strict=True)) for c in chosen)
            for p, w in zip(points, weights, strict=True)
        ]

    for i in range(1, k):
        cumulative = np.cumsum(potentials(chosen))
        tried = [int(np.searchsorted(cumulative, u * cumulative[-1], "right")) for u in draws[i]]
        totals = [sum(potentials([*chosen, t])) for t in tried]
        chosen.append(tried[totals.index(min(totals))])
    return chosen


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), k=st.integers(1, 8))
def test_greedy_choice_equals_the_naive_one(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.unique(rng.integers(-9, 10, (30, 3)), axis=0).astype(np.float32)
    weights = rng.integers(1, 50, len(X))
    assert greedy_kmeans_plusplus(X, weights, k, seed=seed).tolist() == naive_greedy(
        X, weights, k, seed
    )


def test_keeping_all_distances_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.unique(np.random.default_rng(1).integers(-99, 99, (200, 4)), axis=0).astype(np.float32)
    weights = np.ones(len(X), np.int64)
    kept = greedy_kmeans_plusplus(X, weights, 40, seed=3)
    monkeypatch.setattr(start, "GRAM_CANDIDATES", 0)
    assert np.array_equal(kept, greedy_kmeans_plusplus(X, weights, 40, seed=3))


@pytest.mark.parametrize("exponent", [10, 21, 25, 45])
def test_steps_are_refined_only_while_they_grow(
    exponent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # two tight, heavy groups and a far point, whose distance needs all the steps there are
    X = np.array([[0], [1], [2], [4096], [4097], [2**20]], np.float32)
    weights = np.array([1, 1, 1, 1, 1, 0]) * 2**exponent + 1
    refine, calls = start._Distances.refine, iter(range(100))

    def counted(self: start._Distances, nearest: NDArray[np.float64]) -> bool:
        assert next(calls, None) is not None, "refined without end"
        return refine(self, nearest)

    monkeypatch.setattr(start._Distances, "refine", counted)
    chosen = greedy_kmeans_plusplus(X, weights, len(X), seed=0)
    assert sorted(chosen.tolist()) == [0, 1, 2, 3, 4, 5]


def test_start_is_no_worse_than_scikit_learns_on_all_points(seed: int) -> None:
    X = to_grid(zipf_mixture(seed, n_points=4000, n_features=32)[0], 2.0**-24)
    source = blocks_of(X)

    def inertia(C: NDArray[np.float32]) -> int:
        return join_limbs(source.reduce(AssignAndSum(Centroids(C)))["objective"])

    theirs, _ = kmeans_plusplus(X.astype(np.float64), 200, random_state=seed)
    # k-means|| reads the pool 6 times instead of 200; measured 0.97-1.03 of greedy k-means++
    assert inertia(start_centroids(source, 200, seed=seed)) < 1.06 * inertia(
        theirs.astype(np.float32)
    )


def test_candidates_are_distinct_points_of_the_pool(seed: int) -> None:
    X = np.repeat(np.random.default_rng(seed).integers(0, 9, (60, 2)), 20, axis=0)
    candidates = draw_candidates(blocks_of(X.astype(np.float32)), 25, seed=seed)
    rows = {tuple(row) for row in candidates.tolist()}
    assert len(rows) == len(candidates) >= 25
    assert rows <= {tuple(map(float, row)) for row in X.tolist()}


def test_more_clusters_than_distinct_points_are_refused() -> None:
    X = np.array([[1.0, 2.0]] * 50 + [[3.0, 4.0]] * 50, dtype=np.float32)
    with pytest.raises(TooFewDistinct, match="n_clusters=3 should be <= 2, the number of distinct"):
        start_centroids(blocks_of(X), 3, seed=0)


def test_as_many_clusters_as_distinct_points_take_them_all() -> None:
    X = np.array([[1.0], [5.0], [5.0], [9.0]] * 10, dtype=np.float32)
    assert sorted(start_centroids(blocks_of(X), 3, seed=0)[:, 0].tolist()) == [1.0, 5.0, 9.0]
