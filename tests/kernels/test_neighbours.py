"""The neighbour graph against brute force."""

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.judging.neighbours import nearest_neighbours, neighbour_graph


def _points(n: int) -> NDArray[np.float32]:
    X = np.random.default_rng(0).standard_normal((n, 8)).astype(np.float32)
    X[5] = X[3]  # equal distances
    return to_grid(X, grid_unit(float(np.linalg.norm(X, axis=1).max())))


def _by_hand(points: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    sq_dist = ((points[:, None].astype(np.float64) - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(sq_dist, np.inf)
    index = np.arange(len(points))
    return np.array([np.lexsort((index, row))[:k] for row in sq_dist])


def test_neighbours_are_those_of_brute_force_and_ties_go_to_the_lowest_index() -> None:
    points = _points(700)
    assert (nearest_neighbours(points, 15) == _by_hand(points, 15)).all()
    assert nearest_neighbours(points[:3], 15).shape == (3, 2)
    assert nearest_neighbours(points[:1], 15).shape == (1, 0)


def test_an_edge_weighs_as_many_neighbours_as_its_ends_share() -> None:
    points = _points(60)
    near = [set(row) for row in _by_hand(points, 5).tolist()]
    edges = neighbour_graph(points, 5)
    joined = {
        (i, j): len(near[i] & near[j])
        for i in range(60)
        for j in range(i + 1, 60)
        if (j in near[i] or i in near[j]) and near[i] & near[j]
    }
    found = zip(edges.one.tolist(), edges.other.tolist(), edges.weight.tolist(), strict=True)
    assert {(i, j): weight for i, j, weight in found} == joined
