"""k-means: by hand, against scikit-learn's Lloyd, and its invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from tests.pools import zipf_mixture
from udfs.kernels.exact.grid import join_limbs, to_grid
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import Iteration, KMeansParams
from udfs.kernels.kmeans.lloyd import fit_kmeans, lloyd
from udfs.kernels.kmeans.minibatch import count_batches, minibatch, schedule
from udfs.kernels.kmeans.start import start_centroids
from udfs.kernels.passes.sources import LocalBlocks, blocks_of
from udfs.kernels.passes.step import positions
from udfs.kernels.passes.steps.sums import AssignAndSum

LLOYD = KMeansParams(algorithm="lloyd", tol=0.0, max_iter=100)


def inertia_of(X: NDArray[np.float32], C: NDArray[np.float32]) -> int:
    return join_limbs(blocks_of(X).reduce(AssignAndSum(Centroids(C)))["objective"])


def test_two_pairs_on_a_line_settle_on_their_middles() -> None:
    X = np.array([[0.0], [2.0], [10.0], [14.0]], dtype=np.float32)
    C = lloyd(blocks_of(X), np.array([[0.0], [2.0]], np.float32), LLOYD)
    assert sorted(C[:, 0].tolist()) == [1.0, 12.0]


def test_from_the_same_start_lloyd_ends_where_scikit_learn_does(seed: int) -> None:
    X = to_grid(zipf_mixture(seed, n_points=3000, n_features=16)[0], 2.0**-24)
    start = X[np.random.default_rng(seed).permutation(len(X))[:30]]
    theirs = KMeans(30, init=start.astype(float), n_init=1, tol=0, max_iter=100).fit(
        X.astype(np.float64)
    )
    ours = lloyd(blocks_of(X), start, LLOYD)
    # ours rounds centroids to the grid, 2^-24 of the data's norm
    assert inertia_of(X, ours) == pytest.approx(theirs.inertia_, rel=1e-9)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), k=st.integers(1, 20))
def test_inertia_never_rises(seed: int, k: int) -> None:
    X = np.random.default_rng(seed).integers(-50, 50, (400, 3)).astype(np.float32) * 1000
    seen: list[Iteration] = []
    fit_kmeans(blocks_of(X), k, LLOYD, seed=seed, on_iteration=seen.append)
    # rounding a mean to the grid may add a quarter of a squared unit per point and feature
    slack = len(X) * 3
    assert all(a.objective + slack >= b.objective for a, b in zip(seen, seen[1:], strict=False))


def test_empty_clusters_restart_from_the_farthest_points_and_are_counted() -> None:
    X = np.array([[0.0], [1.0], [100.0], [200.0]], dtype=np.float32)
    start = np.array([[0.0], [1000.0], [1000.0]], np.float32)
    seen: list[Iteration] = []
    C = lloyd(blocks_of(X), start, LLOYD, on_iteration=seen.append)
    assert seen[0].n_empty == 2
    assert sorted(C[:, 0].tolist()) in ([0.0, 100.0, 200.0], [0.5, 100.0, 200.0])


def test_minibatch_then_lloyd_comes_close_to_lloyd(seed: int) -> None:
    X = to_grid(zipf_mixture(seed, n_points=12_000, n_concepts=20, n_features=16)[0], 2.0**-24)
    source = blocks_of(X)
    full = fit_kmeans(source, 40, LLOYD, seed=seed)
    seen: list[Iteration] = []
    params = KMeansParams(algorithm="minibatch")
    quick = fit_kmeans(source, 40, params, seed=seed, on_iteration=seen.append)
    kinds = [it.algorithm for it in seen]
    n_batches = kinds.index("lloyd")
    assert set(kinds[:n_batches]) == {"minibatch"}
    assert set(kinds[n_batches:]) == {"lloyd"}
    n_rows = [it.n_rows for it in seen]
    assert n_rows == sorted(n_rows) and n_rows[0] < len(X) / 3
    assert inertia_of(X, quick) <= 1.03 * inertia_of(X, full)  # different local optima


def test_batches_grow_and_centroids_go_beyond_their_means() -> None:
    # two blocks, one of which is the first batch: ten times three points, whose mean is 3; the mean
    # of all, 27.25, is 27 on the grid, where every coordinate is a whole number
    X = np.repeat(np.array([[0.0], [3.0], [6.0], [100.0]], np.float32), 10, axis=0)
    where = positions(np.array([0, 1]), np.array([30, 10]))
    source = LocalBlocks(where, X, n_blocks=2)
    seen: list[Iteration] = []
    C, n = minibatch(
        source,
        np.array([[7.0]], np.float32),
        KMeansParams(batch_fraction=0.5),
        on_iteration=seen.append,
    )
    assert [it.n_rows for it in seen] == 4 * [30] + 4 * [40]
    # 7 + 1.8 * (3 - 7) = 0, then 5, 1 and 5
    assert [it.objective for it in seen[:4]] == [660, 450, 300, 300]
    # 5 + 1.8 * (27 - 5) = 45, then 13, 38 and 18
    assert seen[5].objective == 10 * (45**2 + 42**2 + 39**2 + 55**2)
    assert n == 8
    assert C.tolist() == [[18.0]]


@pytest.mark.parametrize("spectrum", [0.5, 0.0])
def test_minibatches_beat_lloyd_at_equal_work(seed: int, spectrum: float) -> None:
    scale = (1.0 + np.arange(16)) ** -spectrum
    X = to_grid(np.random.default_rng(seed).standard_normal((30_000, 16)) * scale, 2.0**-18)
    source = blocks_of(X)
    start = start_centroids(source, 100, seed=seed)
    seen: list[Iteration] = []
    quick, _ = minibatch(source, start, KMeansParams(), on_iteration=seen.append)
    assert sum(it.n_rows for it in seen) < 5.1 * len(X)
    equal_work = lloyd(source, start, KMeansParams(max_iter=6, tol=0.0))  # after 5 updates
    assert inertia_of(X, quick) < inertia_of(X, equal_work)


def test_a_batch_has_ten_points_a_cluster_or_is_all_of_them() -> None:
    assert count_batches(0.25, 4000, 100, 100) == 4
    assert count_batches(0.25, 3999, 100, 100) == 3
    assert count_batches(0.25, 600, 2, 200) == 1
    assert schedule(1) == [(1, 4)]
    assert schedule(20) == [(1, 20), (4, 5), (16, 4), (20, 4)]


def test_auto_takes_minibatches_only_for_many_points_per_cluster() -> None:
    X = np.random.default_rng(0).integers(-999, 999, (40_000, 2)).astype(np.float32)
    for k, expected in ((10, "minibatch"), (500, "lloyd")):
        seen: list[Iteration] = []
        fit_kmeans(blocks_of(X), k, KMeansParams(max_iter=2), seed=0, on_iteration=seen.append)
        assert seen[0].algorithm == expected
