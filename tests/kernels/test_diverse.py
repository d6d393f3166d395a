"""Farthest-first draws: by hand, against brute force, ties and copies."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.kernels.sampling.diverse import farthest_first


def test_points_on_a_line_by_hand() -> None:
    X = np.array([[0], [1], [4], [10]], np.float32)
    # from 1: 10 is farthest (9), then 4 (3 from 1), then 0
    assert farthest_first(X, 4, np.array([1])).tolist() == [1, 3, 2, 0]
    assert farthest_first(X, 3, np.array([0, 1])).tolist() == [0, 1, 3]


def test_copies_come_last_and_none_twice() -> None:
    X = np.array([[0, 0], [5, 0], [0, 0], [0, 0]], np.float32)
    assert farthest_first(X, 4, np.array([0])).tolist() == [0, 1, 2, 3]


@settings(max_examples=50)
@given(rng=st.integers(0, 2**31).map(np.random.default_rng))
def test_agrees_with_brute_force_and_nests(rng: np.random.Generator) -> None:
    n = int(rng.integers(1, 30))
    X = rng.integers(-4, 5, (n, 3)).astype(np.float32)
    start = np.array([rng.integers(n)])
    order = farthest_first(X, n, start).tolist()
    assert sorted(order) == list(range(n))
    for i in range(1, n):
        rest = [j for j in range(n) if j not in order[:i]]
        nearest = [min(((X[j] - X[k]) ** 2).sum() for k in order[:i]) for j in rest]
        assert order[i] == rest[int(np.argmax(nearest))]
    assert farthest_first(X, (n + 1) // 2, start).tolist() == order[: (n + 1) // 2]
