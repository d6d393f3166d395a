"""Near duplicates: the nearest cells, similar pairs, and which points stay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from udfs.kernels.exact.grid import to_grid
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.near.cells import (
    NearestCells,
    fit_search_cells,
    n_cells_for,
    searched_within,
)
from udfs.kernels.near.groups import keepers_of
from udfs.kernels.near.pairs import MOST_BETTER, Pairs, better_neighbours, cosines, halved
from udfs.kernels.near.similarities import distinct_rows, nearest_others, proposed_threshold

UNIT = 2.0**-24


def on_grid(X: NDArray[np.floating]) -> NDArray[np.float32]:
    return to_grid((X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), UNIT)


def random_points(seed: int, n: int, d: int = 12) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    half = n // 2
    X[n - half :] = X[:half] + rng.uniform(0, 0.3, (half, 1)) * rng.standard_normal((half, d))
    return on_grid(X)


def all_similar(X: NDArray[np.float32], threshold: float) -> set[tuple[int, int]]:
    """Return the pairs whose cosine, in whole numbers, is at least the threshold."""
    row, better = np.tril_indices(len(X), -1)
    near = cosines(X, X, row, better) >= threshold
    return set(zip(row[near].tolist(), better[near].tolist(), strict=True))


# --- pairs ----------------------------------------------------------------------------------------


def test_pairs_by_hand() -> None:
    X = to_grid(np.array([[1, 0], [0.6, 0.8], [0.8, 0.6], [0, 1]], np.float32), UNIT)
    pairs = better_neighbours(X, 0.75)
    assert list(zip(pairs.row, pairs.better, strict=True)) == [(2, 0), (2, 1), (3, 1)]
    assert pairs.cosine == pytest.approx([0.8, 0.96, 0.8], abs=1e-6)


def test_equal_points_are_similar_at_a_threshold_of_one() -> None:
    X = np.repeat(random_points(1, 40), 2, axis=0)
    pairs = better_neighbours(X, 1.0)
    assert set(pairs.row.tolist()) == set(range(1, 80, 2))
    assert (pairs.cosine == 1).all()


@pytest.mark.parametrize("d", [12, 80])
@pytest.mark.parametrize("n", [1, 2, 511, 513, 1400])
def test_pairs_are_those_of_brute_force(seed: int, n: int, d: int) -> None:
    X = random_points(seed, n, d)
    pairs = better_neighbours(X, 0.97, most=n)
    assert set(zip(pairs.row.tolist(), pairs.better.tolist(), strict=True)) == all_similar(X, 0.97)
    assert len(pairs.row) == len(all_similar(X, 0.97))


def test_crowds_among_others_lose_no_pair(seed: int) -> None:
    X = random_points(seed, 900, 80)
    rng = np.random.default_rng(seed)
    for start in (100, 700):  # more pairs than the bound of half the features is used for
        crowd = X[:1].astype(float) / 2.0**24 + 0.02 * rng.standard_normal((100, 80))
        X[start : start + 100] = on_grid(crowd)
    pairs = better_neighbours(X, 0.97, most=900)
    assert set(zip(pairs.row.tolist(), pairs.better.tolist(), strict=True)) == all_similar(X, 0.97)


def test_the_product_of_halves_is_no_less_than_the_whole(seed: int) -> None:
    X = random_points(seed, 200, 81)
    X[:3] = [[2.0**24] + [0] * 80, [0] * 80 + [2.0**24], [0] * 40 + [2.0**24] + [0] * 40]
    halves = halved(X).astype(float)
    assert halves.shape == (200, 41)
    assert (halves @ halves.T >= X.astype(float) @ X.T.astype(float)).all()


@pytest.mark.parametrize("d", [12, 80])
def test_a_cosine_at_the_threshold_itself_counts(seed: int, d: int) -> None:
    X = random_points(seed, 60, d)
    row, better = np.tril_indices(60, -1)
    for threshold in np.sort(cosines(X, X, row, better))[-5:]:  # within the error of the GEMM
        pairs = better_neighbours(X, threshold, most=60)
        assert pairs.cosine.min() == threshold


@pytest.mark.parametrize("d", [12, 80])
def test_of_many_equal_points_each_keeps_only_its_best(d: int) -> None:
    X = np.repeat(random_points(2, 1, d), 5000, axis=0)
    pairs = better_neighbours(X, 0.9)
    assert np.bincount(pairs.row).tolist() == [min(i, MOST_BETTER) for i in range(5000)]
    assert pairs.better.max() == MOST_BETTER - 1


# --- cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", [0.0, 0.1, 4.0])
def test_the_cells_of_a_point_are_those_of_exact_distances(seed: int, within: float) -> None:
    rng = np.random.default_rng(seed)
    C = on_grid(rng.standard_normal((70, 8)))
    C = np.vstack([C, C[:5], C[:3]])  # ties
    X = np.vstack([on_grid(rng.standard_normal((3000, 8))), C[:10]])
    cells, sq_dist = NearestCells(Centroids(C), within / UNIT**2)(X)
    every = ((X[:, None].astype(float) - C) ** 2).sum(axis=2)
    nearest = np.argsort(every, axis=1, kind="stable")[:, :3]
    is_far = (
        np.take_along_axis(every, nearest, axis=1) > every.min(axis=1)[:, None] + within / UNIT**2
    )
    assert np.array_equal(cells, np.where(is_far, -1, nearest))
    assert np.array_equal(sq_dist, every.min(axis=1))


def test_of_a_single_cell_there_is_no_second() -> None:
    X = random_points(3, 20)
    cells, _ = NearestCells(Centroids(X[:1]), 4.0)(X)
    assert cells.tolist() == [[0]] * 20


def test_cells_are_about_the_root_of_the_points_and_one_for_few() -> None:
    assert [n_cells_for(n) for n in (0, 1, 1000, 200_000, 10**6)] == [1, 1, 1, 390, 1000]


def test_similar_points_share_a_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((6000, 32))
    Y = X + 0.3 * rng.standard_normal(X.shape)  # cosine .96
    X, Y = on_grid(X), on_grid(Y)
    C = fit_search_cells(X[:1000], 30, seed=seed)
    nearest = NearestCells(Centroids(C), searched_within(0.95, UNIT))
    mine, theirs = nearest(X)[0], nearest(Y)[0]
    shared = ((mine[:, :, None] == theirs[:, None]) & (mine >= 0)[:, :, None]).any(axis=(1, 2))
    similar = cosines(X, Y, np.arange(6000), np.arange(6000)) >= 0.95
    assert shared[similar].mean() > 0.99
    assert 15 <= len(C) <= 60


# --- groups ---------------------------------------------------------------------------------------


def as_pairs(edges: list[tuple[int, int]]) -> Pairs:
    row, better = (np.array(side, np.int64) for side in zip(*edges, strict=True))
    return Pairs(row, better, 0.9 + 0.001 * np.arange(len(edges)))


def test_keepers_by_hand() -> None:
    keeper, cosine = keepers_of(as_pairs([(3, 2), (1, 0), (2, 1), (3, 0), (5, 4)]), 6)
    assert keeper.tolist() == [0, 0, 2, 0, 4, 4]
    assert cosine.tolist() == [1, 0.901, 1, 0.903, 1, 0.904]


def test_a_chain_does_not_become_one_group() -> None:
    keeper, _ = keepers_of(as_pairs([(i, i - 1) for i in range(1, 1000)]), 1000)
    assert keeper.tolist() == [i - i % 2 for i in range(1000)]


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=60))
def test_who_stays_has_no_neighbour_that_stays_and_who_goes_has_its_keeper(
    drawn: list[tuple[int, int]],
) -> None:
    edges = {(max(e), min(e)) for e in drawn if e[0] != e[1]} or {(1, 0)}
    keeper, _ = keepers_of(as_pairs(sorted(edges, reverse=True)), 16)
    stays = keeper == np.arange(16)
    assert not any(stays[a] and stays[b] for a, b in edges)
    for point in np.flatnonzero(~stays).tolist():
        assert stays[keeper[point]] and (point, int(keeper[point])) in edges
        better = [b for a, b in edges if a == point and stays[b]]
        assert keeper[point] == min(better)


# --- similarities ---------------------------------------------------------------------------------


def test_nearest_others_are_those_of_all_distances(seed: int) -> None:
    X = random_points(seed, 300)
    nearest, cosine = nearest_others(X, 100)
    every = np.array([cosines(X, X, np.full(300, i), np.arange(300)) for i in range(100)])
    every[np.arange(100), np.arange(100)] = -1
    assert np.array_equal(cosine, every[np.arange(100), nearest])
    assert cosine == pytest.approx(every.max(axis=1), abs=1e-6)


def test_of_equal_rows_the_first_counts() -> None:
    X = random_points(1, 4)
    assert distinct_rows(X[[2, 1, 2, 0, 1, 3]]).tolist() == [0, 1, 3, 5]


def test_a_threshold_lies_in_the_valley_below_a_mass_of_copies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bulk = rng.normal(0.6, 0.05, 950)
    threshold = proposed_threshold(np.append(bulk, rng.uniform(0.96, 1, 50)))
    assert threshold == pytest.approx(0.95)
    # a bulk that reaches up to the copies
    broad = np.minimum(rng.normal(0.75, 0.05, 950), 1)
    threshold = proposed_threshold(np.append(broad, rng.uniform(0.97, 1, 50)))
    assert threshold is not None
    assert 0.9 <= threshold <= 0.97


@pytest.mark.parametrize(("middle", "width"), [(0.5, 0.1), (0.9, 0.03), (0.97, 0.01), (0.2, 0.01)])
def test_without_such_a_mass_no_threshold_is_proposed(
    seed: int, middle: float, width: float
) -> None:
    rng = np.random.default_rng(seed)
    assert proposed_threshold(np.clip(rng.normal(middle, width, 1000), -1, 1)) is None


def test_all_points_being_copies_are_no_valley() -> None:
    assert proposed_threshold(np.ones(1000)) is None
    assert proposed_threshold(np.empty(0)) is None
