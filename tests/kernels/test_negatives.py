"""The walk through near nodes, and places in batches for rows that are kept apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from udfs.kernels.negatives import walk as module
from udfs.kernels.negatives.hardness import centred, info_nce, mean_cosine, share_of_pairs
from udfs.kernels.negatives.placing import NOWHERE, Apart, fill, pairs_above, place_all, positions
from udfs.kernels.negatives.walk import Nodes, chain, walk

# --- the walk -------------------------------------------------------------------------------------


def on_a_line(*places: float) -> NDArray[np.float32]:
    return np.array(places, np.float32)[:, None]


def test_a_chain_by_hand() -> None:
    """It begins at the point farthest from the first, and goes to the nearest; ties by index."""
    assert chain(on_a_line(0, 10, 1, 7, 3)).tolist() == [1, 3, 4, 2, 0]
    assert chain(on_a_line(0, 10, 1, 7, 3), first=2).tolist() == [2, 0, 4, 3, 1]
    assert chain(on_a_line(5, 4, 6), first=0).tolist() == [0, 1, 2]


def test_a_walk_by_hand() -> None:
    """Parents at 0, 20 and 10 are seen from one end to the other, and so are their children."""
    parents = Nodes(on_a_line(0, 20, 10), np.zeros(3, np.int64))
    children = Nodes(on_a_line(1, 21, 9, 19, -1, 11), np.array([0, 1, 2, 1, 0, 2]))
    assert walk([children, parents]).tolist() == [3, 1, 5, 2, 0, 4]


def test_a_chain_goes_to_the_nearest_by_brute_force(seed: int) -> None:
    X = np.random.default_rng(seed).integers(-1000, 1000, (60, 3)).astype(np.float32)
    order = chain(X, first=7).tolist()
    assert sorted(order) == list(range(60)) and order[0] == 7
    for i in range(59):
        sq_dist = {j: ((X[order[i]] - X[j]) ** 2).sum() for j in order[i + 1 :]}
        assert order[i + 1] == min(sq_dist, key=lambda j: (sq_dist[j], j))


def test_many_nodes_are_walked_through_in_cells(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(module, "_MOST", 16)
    X = np.random.default_rng(seed).integers(-1000, 1000, (400, 2)).astype(np.float32)
    order = chain(X)
    assert sorted(order.tolist()) == list(range(400))

    def length(rows: NDArray[np.int64]) -> float:
        return float(np.sqrt((np.diff(X[rows], axis=0) ** 2).sum(axis=1)).sum())

    assert length(order) < 0.25 * length(np.arange(400))
    copies = np.zeros((100, 2), np.float32)
    assert chain(copies).tolist() == list(range(100))


def test_children_follow_each_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = [
        Nodes(rng.integers(-99, 99, (n, 4)).astype(np.float32), rng.integers(0, above, n))
        for n, above in ((90, 20), (20, 4), (4, 1))
    ]
    order = walk(levels)
    assert sorted(order.tolist()) == list(range(90))
    for parents in (levels[0].parents[order], levels[1].parents[levels[0].parents[order]]):
        assert (np.diff(parents) != 0).sum() == len(np.unique(parents)) - 1


# --- places in batches ----------------------------------------------------------------------------


def apart_of(*pairs: tuple[int, int]) -> Apart:
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    return Apart(one, other)


def test_rows_that_nothing_keeps_apart_stay_in_order() -> None:
    assert fill(7, apart_of(), 2).tolist() == [0, 0, 1, 1, 2, 2, NOWHERE]
    assert place_all(7, apart_of(), 2).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_places_by_hand() -> None:
    # 1 must not be with 0: it goes on to the next batch, 2 takes its place
    assert fill(4, apart_of((0, 1)), 2).tolist() == [0, 1, 0, 1]
    # 3 finds no place: 2, the closest that the batch of 1 takes, leaves its place to it
    assert fill(4, apart_of((0, 1), (3, 1)), 2).tolist() == [0, 1, 1, 0]
    # three that must all be apart do not fit in two batches
    three = apart_of((0, 1), (1, 2), (0, 2))
    assert (fill(4, three, 2) == NOWHERE).sum() == 2
    assert place_all(4, three, 2).tolist() == [0, 1, 2, 0]


def test_pairs_above_a_cosine_leave_out_those_at_it() -> None:
    X = np.array([[1, 0], [1, 1], [0, 2], [3, 0]], np.float32)  # cosines 1, 1/sqrt(2), 0
    for max_cosine, pairs in (
        (1.0, set()),
        (0.8, {(3, 0)}),
        (0.7, {(3, 0), (1, 0), (2, 1), (3, 1)}),
    ):
        found = pairs_above(X, max_cosine)
        assert {*zip(*(rows.tolist() for rows in found), strict=True)} == pairs


def test_positions_count_the_rows_of_each_batch() -> None:
    assert positions(np.array([1, 0, 1, 1, 0])).tolist() == [0, 0, 1, 2, 1]


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, Apart, int]:
    n = draw(st.integers(1, 24))
    row = st.integers(0, n - 1)
    pairs = draw(st.lists(st.tuples(row, row).filter(lambda p: p[0] != p[1]), max_size=40))
    return n, apart_of(*pairs), draw(st.integers(1, 6))


@given(problems())
@settings(max_examples=200)
def test_no_batch_holds_two_that_are_kept_apart(problem: tuple[int, Apart, int]) -> None:
    n, apart, size = problem
    for place, is_all in ((fill, False), (place_all, True)):
        batch = place(n, apart, size)
        together = (batch[apart.one] == batch[apart.other]) & (batch[apart.one] != NOWHERE)
        assert not together.any()
        sizes = np.bincount(batch[batch != NOWHERE])
        assert (sizes <= size).all() and (sizes > 0).all()
        assert (batch != NOWHERE).all() if is_all else (sizes == size).all()


def test_few_conflicts_cost_no_batch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(5):
        pairs = [tuple(rng.choice(96, 2, replace=False).tolist()) for _ in range(60)]
        assert (fill(96, apart_of(*pairs), 8) != NOWHERE).all()


# --- hardness -------------------------------------------------------------------------------------


def test_hardness_by_hand() -> None:
    X = np.array([[1.0, 0], [0, 1], [-1, 0]])
    assert mean_cosine(X) == pytest.approx((0 - 1 + 0) / 3)
    assert share_of_pairs(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)) == pytest.approx(1 / 3)
    e = np.exp(10 * np.array([1.0, 0, -1]))
    first, second = -np.log(e[0] / e.sum()), -np.log(e[0] / (e[0] + 2 * e[1]))
    assert info_nce(X) == pytest.approx((2 * first + second) / 3)
    assert np.isnan(mean_cosine(X[:1]))


def test_from_its_mean_a_pool_has_no_direction(seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((50, 5)) + [9, 0, 0, 0, 0]
    Z = centred(np.vstack([X, X.mean(axis=0)]), X.mean(axis=0))
    assert np.linalg.norm(Z[:50], axis=1) == pytest.approx(1)
    assert abs(mean_cosine(Z[:50])) < 0.05 < mean_cosine(X / np.linalg.norm(X, axis=1)[:, None])
    assert (Z[50] == 0).all()
