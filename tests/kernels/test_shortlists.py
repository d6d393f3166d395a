"""Shortlists: by hand, and against a stable sort of exact distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from udfs.kernels import shortlists
from udfs.kernels.nearest import CHUNK, Centroids
from udfs.kernels.shortlists import N_LISTED, ListsMaker, NearestListed, RunLists


def brute_force(X: NDArray[np.float32], C: NDArray[np.float32]) -> NDArray[np.intp]:
    """Sort all centroids by (distance, index), in integers; give the first, ascending."""
    apart = X.astype(np.int64)[:, None] - C.astype(np.int64)  # (n, k, d)
    order = np.argsort((apart**2).sum(axis=2), axis=1, kind="stable")
    return np.sort(order[:, :N_LISTED], axis=1)


def test_a_list_holds_the_nearest_and_of_those_at_one_distance_the_first() -> None:
    C = np.array([[30], [1], [2], [3], [4], [5], [6], [7], [-9], [9], [9]], np.float32)
    lists = ListsMaker(Centroids(C))(np.zeros((1, 1), np.float32))
    assert lists.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]  # -9 comes before 9, 30 is far


def test_few_centroids_are_all_listed() -> None:
    lists = ListsMaker(Centroids(np.ones((3, 2), np.float32)))(np.zeros((2, 2), np.float32))
    assert lists.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_no_points_give_no_lists_and_no_labels() -> None:
    C, X = Centroids(np.ones((20, 2), np.float32)), np.empty((0, 2), np.float32)
    assert ListsMaker(C)(X).shape == (0, N_LISTED)
    assert NearestListed(C)(X, ListsMaker(C)(X)).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    k=st.sampled_from([1, 8, 9, 12, 13, 40, 133, 300, CHUNK + 5]),
    d=st.integers(1, 9),
    spread=st.sampled_from([2.0**22, 300.0, 3.0]),  # ties in nearly all rows with the last
)
def test_lists_and_labels_agree_with_sorted_integers(
    seed: int, k: int, d: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    X, C, moved = (rng.integers(-spread, spread, (n, d)).astype(np.float32) for n in (30, k, k))
    lists = ListsMaker(Centroids(C))(X)
    assert np.array_equal(lists, brute_force(X, C))
    labels = NearestListed(Centroids(moved))(X, lists)
    apart = X.astype(np.int64)[:, None] - moved.astype(np.int64)[lists]
    first = (apart**2).sum(axis=2).argmin(axis=1)
    assert np.array_equal(labels, lists[np.arange(len(X)), first])


@pytest.mark.parametrize("n_rows", [1, 300, 700])
def test_rows_are_found_in_any_number_of_runs(n_rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, C = (rng.integers(-9, 9, (n, 4)).astype(np.float32) for n in (n_rows, 50))
    lists = ListsMaker(Centroids(C))(X)
    assert np.array_equal(lists, brute_force(X, C))
    alone = np.concatenate(
        [NearestListed(Centroids(C))(x[None], y[None]) for x, y in zip(X, lists, strict=True)]
    )
    assert np.array_equal(NearestListed(Centroids(C))(X, lists), alone)


def test_a_run_is_listed_once() -> None:
    memory, made = RunLists(), []

    def make() -> shortlists.Lists:
        made.append(1)
        return np.zeros((2, 1), np.int32)

    where = np.array([5, 6])
    assert memory.recall(where, make) is memory.recall(where, make)
    assert len(made) == 1
    memory.recall(np.array([7, 8]), make)
    assert len(made) == 2
