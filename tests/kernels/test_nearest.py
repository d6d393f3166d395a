"""Nearest centroids: by hand, against brute force in integers, and for any block and BLAS."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from udfs.kernels.exact.grid import to_grid
from udfs.kernels.exact.nearest import Centroids, nearest_centroids


def brute_force(X: NDArray[np.float32], C: NDArray[np.float32]) -> tuple[list[int], list[int]]:
    """Search with Python integers: exact, ties to the lowest index."""
    labels, distances = [], []
    for x in X.astype(int).tolist():
        to = [sum((a - b) ** 2 for a, b in zip(x, c, strict=True)) for c in C.astype(int).tolist()]
        labels.append(to.index(min(to)))
        distances.append(min(to))
    return labels, distances


def test_three_points_on_a_line() -> None:
    X = np.array([[0.0], [4.0], [11.0]], dtype=np.float32)
    labels, sq_dist = nearest_centroids(X, Centroids(np.array([[1.0], [9.0]], dtype=np.float32)))
    assert labels.tolist() == [0, 0, 1]
    assert sq_dist.tolist() == [1.0, 9.0, 4.0]


def test_ties_go_to_the_lowest_index() -> None:
    X = np.array([[0.0], [5.0]], dtype=np.float32)
    C = np.array([[-1.0], [1.0], [5.0], [5.0]], dtype=np.float32)
    assert nearest_centroids(X, Centroids(C))[0].tolist() == [0, 2]


def test_no_points_give_no_labels() -> None:
    labels, sq_dist = nearest_centroids(
        np.empty((0, 2), np.float32), Centroids(np.ones((1, 2), np.float32))
    )
    assert len(labels) == len(sq_dist) == 0


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 12),
    k=st.integers(1, 12),
    d=st.integers(1, 40),
    spread=st.sampled_from([2.0**24, 2.0**12, 3.0]),
    closeness=st.sampled_from([0, 1, 2]),
)
def test_agrees_with_exact_integers_even_where_float32_cannot_tell(
    seed: int, n: int, k: int, d: int, spread: float, closeness: int
) -> None:
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((n, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    X = np.rint(directions * spread * 0.99).astype(np.float32)
    # centroids that differ from a point by at most `closeness` units: far below float32's rounding
    C = X[rng.integers(0, n, k)] + rng.integers(-closeness, closeness + 1, (k, d))
    labels, sq_dist = nearest_centroids(X, Centroids(C.astype(np.float32)))
    assert (labels.tolist(), sq_dist.tolist()) == brute_force(X, C)


def test_labels_do_not_depend_on_how_rows_are_grouped(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((700, 64))
    X = to_grid(X / np.linalg.norm(X, axis=1, keepdims=True), 2.0**-24)
    C = Centroids(np.vstack([X[:40], X[:40] + 1, X[100:300]]))
    together, distances = nearest_centroids(X, C)
    for size in (1, 7, 256):
        parts = [nearest_centroids(X[i : i + size], C) for i in range(0, len(X), size)]
        assert np.array_equal(np.concatenate([p[0] for p in parts]), together)
        assert np.array_equal(np.concatenate([p[1] for p in parts]), distances)


def test_a_row_where_everything_ties_costs_bounded_memory() -> None:
    X = np.full((300, 2), 7, np.float32)
    C = Centroids(np.tile(np.array([[1, 1]], np.float32), (5000, 1)))
    labels, sq_dist = nearest_centroids(X, C)
    assert set(labels) == {0} and set(sq_dist) == {72.0}
