"""Nearest neighbours among points: by hand, against brute force, and under shifts and copies."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from udfs.kernels.exact import nearest
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.exact.neighbours import Neighbours, first_copies, nearest_among, smallest

LINE = np.array([[0], [1], [3], [3], [10]], np.float32)


def by_brute_force(
    X: NDArray[np.float32], points: NDArray[np.float32], k: int, own: NDArray[np.int64]
) -> Neighbours:
    sq_dist = ((X[:, None].astype(float) - points[None]) ** 2).sum(axis=2)
    labels = np.tile(np.arange(len(points)), (len(X), 1))
    sq_dist[own >= 0, own[own >= 0]] = np.inf
    order = np.lexsort((labels, sq_dist), axis=1)[:, :k]
    found = np.take_along_axis(sq_dist, order, axis=1)
    return Neighbours(np.where(np.isinf(found), -1, order), found)


def same(found: Neighbours, wanted: Neighbours) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_neighbours_on_a_line_by_hand() -> None:
    found = nearest_among(LINE, Centroids(LINE), 2, own=np.arange(5))
    assert found.labels.tolist() == [[1, 2], [0, 2], [3, 1], [2, 1], [2, 3]]
    assert found.sq_dist.tolist() == [[1, 9], [1, 4], [0, 4], [0, 4], [49, 49]]


def test_where_there_are_fewer_the_rest_is_nobody_at_infinity() -> None:
    found = nearest_among(LINE[:2], Centroids(LINE[:2]), 3, own=np.array([0, -1]))
    assert found.labels.tolist() == [[1, -1, -1], [1, 0, -1]]
    assert found.sq_dist.tolist() == [[1, np.inf, np.inf], [0, 1, np.inf]]
    nobody = nearest_among(LINE[:2], Centroids(LINE[:0]), 2)
    assert nobody.labels.tolist() == [[-1, -1], [-1, -1]]
    assert nearest_among(LINE[:0], Centroids(LINE), 2).sq_dist.shape == (0, 2)


def test_they_are_those_of_brute_force_in_any_number_of_chunks(monkeypatch, seed: int) -> None:
    monkeypatch.setattr(nearest, "CHUNK", 37)
    rng = np.random.default_rng(seed)
    points = rng.integers(-3, 4, (300, 4)).astype(np.float32)  # with many ties and copies
    own = np.where(rng.random(300) < 0.7, np.arange(300), -1)
    for k in (1, 2, 40, 290):
        found = nearest_among(points, Centroids(points), k, own=own)
        assert same(found, by_brute_force(points, points, k, own)), k


def test_only_points_within_a_distance_need_be_found(monkeypatch, seed: int) -> None:
    monkeypatch.setattr(nearest, "CHUNK", 37)
    rng = np.random.default_rng(seed)
    X, points = (rng.integers(-9, 10, (n, 4)).astype(np.float32) for n in (40, 300))
    everything = nearest_among(X, Centroids(points), 5)
    for within in (everything.sq_dist[:, 2], everything.sq_dist[:, 4], np.full(40, np.inf)):
        found = nearest_among(X, Centroids(points), 5, within=within)
        must = everything.sq_dist <= within[:, None]
        for mine, wanted in zip(found, everything, strict=True):
            assert np.array_equal(mine[must], wanted[must])


@settings(max_examples=20)
@given(seed=st.integers(0, 99), shift=st.integers(-(2**10), 2**10), k=st.integers(1, 4))
def test_moving_all_points_moves_no_neighbour(seed: int, shift: int, k: int) -> None:
    X = np.random.default_rng(seed).integers(-(2**12), 2**12, (60, 3)).astype(np.float32)
    own = np.arange(60)
    moved = X + np.float32(shift)
    assert same(
        nearest_among(moved, Centroids(moved), k, own=own),
        nearest_among(X, Centroids(X), k, own=own),
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 99), k=st.integers(1, 3))
def test_more_copies_than_neighbours_change_no_distance(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.integers(-9, 9, (20, 2)).astype(np.float32)[rng.integers(0, 20, 90)]
    all_found = nearest_among(X, Centroids(X), k, own=np.arange(90)).sq_dist
    is_kept = first_copies(X, k + 1)
    own = np.where(is_kept, np.cumsum(is_kept) - 1, -1)
    found = nearest_among(X, Centroids(X[is_kept]), k, own=own).sq_dist
    assert np.array_equal(found, all_found)


def test_first_copies_are_counted_by_value() -> None:
    X = np.array([[0.0, 1], [-0.0, 1], [2, 2], [0, 1], [0, 1]], np.float32)
    assert first_copies(X, 2).tolist() == [True, True, True, False, False]
    assert first_copies(X[:0], 2).shape == (0,)


def test_the_smallest_distances_of_several_sets() -> None:
    found = smallest([np.array([[1.0, 5]]), np.array([[2.0, np.inf]])], 3)
    assert found.tolist() == [[1, 2, 5]]
