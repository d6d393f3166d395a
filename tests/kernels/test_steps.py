"""Steps: against scikit-learn and numpy, and the same however blocks are spread over tasks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances

from udfs.kernels.exact.grid import join_limbs
from udfs.kernels.exact.memory import DistanceMemory, LabelMemory
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.passes.sources import Batch, LocalBlocks, blocks_of
from udfs.kernels.passes.step import Smallest, Step, block_of, positions
from udfs.kernels.passes.steps.draws import CountMembers, DrawCandidates
from udfs.kernels.passes.steps.members import ClosestMembers, DescribeClusters, LabelPoints
from udfs.kernels.passes.steps.sums import AssignAndSum, FarthestPoints


def grid_points(seed: int, n: int = 900, d: int = 6) -> NDArray[np.float32]:
    """Return points with many exact ties and repeats."""
    return np.random.default_rng(seed).integers(-4, 5, (n, d)).astype(np.float32)


def test_sums_counts_and_objective_agree_with_scikit_learn(seed: int) -> None:
    X = grid_points(seed)
    C = X[::100] + np.float32(1)
    to = pairwise_distances(X.astype(float), C, metric="sqeuclidean").round()
    labels = to.argmin(axis=1)
    got = blocks_of(X).reduce(AssignAndSum(Centroids(C)))
    present = np.unique(labels)
    assert got["labels"].tolist() == present.tolist()
    assert got["counts"].tolist() == np.bincount(labels)[present].tolist()
    assert got["sums"].tolist() == [X[labels == j].sum(axis=0).tolist() for j in present]
    assert join_limbs(got["objective"]) == to.min(axis=1).sum()
    farthest = blocks_of(X).reduce(FarthestPoints(Centroids(C)))
    assert -farthest["far_keys"][0] == to.min(axis=1).max()


def test_closest_members_are_the_first_by_distance_then_position(seed: int) -> None:
    X = grid_points(seed)
    C = X[::100]
    whole = blocks_of(X).reduce(LabelPoints(Centroids(C)))
    got = blocks_of(X).reduce(ClosestMembers(Centroids(C), 5))
    for j in range(len(C)):
        mine = np.flatnonzero(whole["labels"] == j)
        first = mine[np.lexsort((whole["positions"][mine], whole["sq_dist"][mine]))][:5]
        assert set(got["positions"][got["labels"] == j]) == set(whole["positions"][first])


def test_clusters_are_described_by_count_inertia_and_radius() -> None:
    X = np.array([[0.0], [2.0], [10.0], [10.0]], dtype=np.float32)
    got = blocks_of(X).reduce(DescribeClusters(Centroids(np.array([[1.0], [7.0]], np.float32))))
    assert got["counts"].tolist() == [2, 2]
    assert [join_limbs(i) for i in got["inertia"]] == [2, 18]
    assert got["sq_radius"].tolist() == [1.0, 9.0]


def test_draws_follow_squared_distance() -> None:
    # Three points at squared distance 1, one at 9 and one already chosen, drawn one at a time.
    X = np.array([[0.0], [1.0], [-1.0], [1.0], [3.0]], dtype=np.float32)
    chosen = Centroids(X[:1])
    drawn = [
        blocks_of(X).reduce(DrawCandidates(chosen, 1, seed))["draw_rows"] for seed in range(400)
    ]
    values = np.concatenate(drawn)[:, 0]
    assert not (values == 0).any()
    # sequential Poisson sampling favours heavy points a little more than 9 of 12
    assert 0.70 < (values == 3).mean() < 0.92


@pytest.mark.parametrize(
    "make",
    [
        lambda C: AssignAndSum(C),
        lambda C: ClosestMembers(C, 3),
        lambda C: LabelPoints(C),
        lambda C: DescribeClusters(C),
        lambda C: DrawCandidates(C, 40, 7),
        lambda C: CountMembers(C),
        lambda C: FarthestPoints(C),
    ],
    ids=lambda make: type(make(Centroids(np.zeros((1, 1), np.float32)))).__name__,
)
@settings(max_examples=15)
@given(order=st.permutations(range(6)), n_tasks=st.integers(1, 5), seed=st.integers(0, 99))
def test_results_do_not_depend_on_the_order_of_points_or_the_number_of_tasks(
    make, order: list[int], n_tasks: int, seed: int
) -> None:
    X = grid_points(seed, n=1800)
    step: Step = make(Centroids(X[::90]))
    source = blocks_of(X)
    parts = [np.array_split(a, 6) for a in (source.positions, source.X)]
    shares = [step.begin() for _ in range(n_tasks)]
    for i, part in enumerate(order):
        shares[i % n_tasks].add(parts[0][part], parts[1][part])
    one, other = source.reduce(step), step.merge([share.result() for share in shares])
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


@settings(max_examples=15)
@given(st.integers(0, 99))
def test_sums_do_not_depend_on_what_points_remember(seed: int) -> None:
    X = grid_points(seed, n=1800)
    memory = LabelMemory()
    for shift in (0, 1, 0, 2):
        C = Centroids(np.unique(X[shift::90], axis=0)[:15])
        fresh = blocks_of(X).reduce(AssignAndSum(C))
        kept = blocks_of(X).reduce(AssignAndSum(C, memory))
        assert all(np.array_equal(fresh[name], kept[name]) for name in fresh)


@settings(max_examples=15)
@given(st.integers(0, 99))
def test_draws_do_not_depend_on_what_points_remember(seed: int) -> None:
    X = grid_points(seed, n=1800)
    memory = DistanceMemory()
    for n in (3, 3, 10, 40):
        memory.grow(X[:n])
        C = Centroids(X[:n])
        for fresh, kept in (
            (DrawCandidates(C, 9, seed), DrawCandidates(C, 9, seed, memory)),
            (CountMembers(C), CountMembers(C, memory)),
        ):
            one, other = blocks_of(X).reduce(fresh), blocks_of(X).reduce(kept)
            assert all(np.array_equal(one[name], other[name]) for name in one)
            memory.grow(X[:n])


def test_batches_are_nested() -> None:
    X = grid_points(0, n=3000)
    step = LabelPoints(Centroids(X[:5]))
    seen = [blocks_of(X).part(Batch(size, 4)).reduce(step)["positions"] for size in (1, 2, 4)]
    assert [len(p) for p in seen] == [900, 1800, 3000]
    assert all(np.isin(a, b).all() for a, b in pairwise(seen))


def test_taken_points_keep_their_block_and_order() -> None:
    X = np.arange(10, dtype=np.float32)[:, None]
    where = positions(np.array([0, 3]), np.array([5, 5]))
    taken = LocalBlocks(where, X, 4).take(where[[4, 5, 7]])
    assert block_of(taken.positions).tolist() == [0, 3, 3]
    assert taken.X[:, 0].tolist() == [4.0, 5.0, 7.0]
    assert (taken.n_rows, taken.n_blocks) == (3, 4)


@given(st.lists(st.integers(0, 5), min_size=0, max_size=40), st.integers(1, 10))
def test_smallest_keeps_the_first_by_key_then_position(keys: list[int], n: int) -> None:
    kept = Smallest(n, 1)
    for i in range(0, len(keys), 7):
        part = np.array(keys[i : i + 7], dtype=float)
        at = np.arange(i, i + len(part))
        kept.offer(part, at, at[:, None].astype(np.float32))
    expected = sorted(zip(keys, range(len(keys)), strict=True))[:n]
    assert list(zip(kept.keys, kept.positions, strict=True)) == expected
    assert kept.rows[:, 0].tolist() == [at for _, at in expected]
