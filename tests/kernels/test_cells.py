"""Cells: what splitting may cost, what it must not lose, and when it must refuse."""

import numpy as np
import pytest
from numpy.typing import NDArray

from udfs.kernels.cells.coarse import CellTooLarge, CoarseCells, fit_cells
from udfs.kernels.cells.routing import NearestLeaves
from udfs.kernels.cells.split import fit_split
from udfs.kernels.exact.grid import join_limbs, to_grid
from udfs.kernels.exact.nearest import Centroids, nearest_centroids
from udfs.kernels.kmeans.iterations import KMeansParams
from udfs.kernels.kmeans.lloyd import fit_kmeans
from udfs.kernels.kmeans.start import TooFewDistinct
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.passes.steps.members import DescribeClusters

PARAMS = KMeansParams()


def blobs(seed: int, n: int = 3000, d: int = 8, k: int = 30) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((k, d))
    return to_grid(centres[rng.integers(k, size=n)] + 0.3 * rng.standard_normal((n, d)), 2.0**-20)


def total(described: dict[str, NDArray[np.int64]]) -> int:
    return join_limbs(described["inertia"].sum(axis=0))


def test_clusters_are_shared_in_proportion_to_points() -> None:
    def shares(n_clusters: int, n_points: list[int], n_apart: list[int]) -> list[int]:
        centroids = np.empty((len(n_points), 1), np.float32)
        cells = CoarseCells(centroids, np.array(n_points), np.array(n_apart))
        return cells.share(n_clusters).tolist()

    assert shares(10, [600, 300, 100], [600, 300, 100]) == [6, 3, 1]
    # copies of a centroid are one cluster, besides those of the points around it
    assert shares(11, [6000, 300, 100], [600, 300, 100]) == [7, 3, 1]
    assert shares(10, [9000, 300, 100], [0, 300, 100]) == [1, 7, 2]
    # too few points are left for the clusters: shared as if there were no copies
    assert shares(10, [600, 300, 100], [0, 5, 0]) == [6, 3, 1]


def test_a_split_level_costs_little_inertia(seed: int) -> None:
    X = blobs(seed)
    source = blocks_of(X)
    split = fit_split(source, 200, 14, PARAMS, max_rows=10**6, seed=seed)
    flat = source.reduce(DescribeClusters(Centroids(fit_kmeans(source, 200, PARAMS, seed=seed))))
    assert len(split.routing.leaves) == 200
    assert split.described["counts"].sum() == len(X)
    assert total(split.described) < 1.03 * total(flat)


def test_every_point_finds_the_leaf_that_it_was_counted_in(seed: int) -> None:
    X = blobs(seed)
    split = fit_split(blocks_of(X), 200, 14, PARAMS, max_rows=10**6, seed=seed)
    labels, sq_dist = NearestLeaves(split.routing)(X)
    assert np.bincount(labels, minlength=200).tolist() == split.described["counts"].tolist()
    assert int(sq_dist.sum()) == total(split.described)
    # by hand: the nearest cell, then the nearest leaf of that cell
    cell, _ = nearest_centroids(X, split.routing.cells)
    for c, (a, b) in enumerate(zip(split.routing.starts, split.routing.starts[1:], strict=False)):
        mine, _ = nearest_centroids(X[cell == c], Centroids(split.routing.leaves[a:b]))
        assert (labels[cell == c] == a + mine).all()


def test_cells_that_are_too_large_are_divided(seed: int) -> None:
    rng = np.random.default_rng(seed)
    giant = 0.01 * rng.standard_normal((2000, 4))
    X = to_grid(np.concatenate([giant, 5 + rng.standard_normal((400, 4))]), 2.0**-20)
    cells = fit_cells(blocks_of(rng.permutation(X)), 100, 5, max_rows=500, seed=seed)
    assert cells.n_points.max() <= 500
    assert cells.n_points.sum() == 2400
    assert len(cells.centroids) == len(cells.n_points)


@pytest.mark.parametrize("near", [5, 1000, 100_000])
@pytest.mark.parametrize("spread", [30, 1000, 100_000])
def test_copies_and_their_neighbours_settle_in_one_cell(near: int, spread: int, seed: int) -> None:
    # a copied point is a large cell; its neighbours, split off, are too few for a cluster
    copies, neighbours = np.zeros((700, 2)), near * np.eye(2)
    far = 10**6 + np.random.default_rng(seed).integers(0, spread, (298, 2))
    X = np.concatenate([copies, neighbours, far]).astype(np.float32)
    cells = fit_cells(blocks_of(X), 100, 4, max_rows=10**6, seed=seed)
    labels, _ = nearest_centroids(X, Centroids(cells.centroids))
    assert np.bincount(labels, minlength=len(cells.n_points)).tolist() == cells.n_points.tolist()
    assert (cells.share(100) > 0).all()
    assert set(labels[:702].tolist()) == {labels[0]}
    split = fit_split(blocks_of(X), 100, 4, PARAMS, max_rows=10**6, seed=seed)
    assert split.described["counts"].sum() == len(X)


@pytest.mark.parametrize("apart", [1, 1000])
def test_copies_beyond_a_cells_room_are_one_leaf_of_it(apart: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    around = np.rint(apart * rng.standard_normal((1100, 4)))
    X = rng.permutation(np.concatenate([np.zeros((2000, 4)), around])).astype(np.float32)
    split = fit_split(blocks_of(X), 60, 8, PARAMS, max_rows=500, seed=seed)
    labels, sq_dist = NearestLeaves(split.routing)(X)
    counts = split.described["counts"]
    assert np.bincount(labels, minlength=len(counts)).tolist() == counts.tolist()
    assert int(sq_dist.sum()) == total(split.described)
    assert len(counts) >= 57  # of 60: copies take only one
    copied = labels[(X == 0).all(axis=1)]
    assert set(copied.tolist()) == {copied[0]}
    assert not split.routing.leaves[copied[0]].any()


def test_points_in_more_cells_than_clusters_are_refused() -> None:
    X = np.arange(900, dtype=np.float32)[:, None]
    with pytest.raises(
        CellTooLarge, match=r"a cell of \d+ points cannot be .* want at most 200"
    ) as e:
        fit_split(blocks_of(X), 3, 2, PARAMS, max_rows=200, seed=0)
    assert (e.value.n_points > 200, e.value.copied) == (True, 0)


def test_a_cell_of_copies_of_several_points_says_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    copies = np.repeat(np.eye(3), 400, axis=0)  # three points, too close together to be parted
    X = np.concatenate([copies, 1000 * rng.standard_normal((300, 3))])
    X = rng.permutation(np.rint(X)).astype(np.float32)
    with pytest.raises(CellTooLarge) as e:
        fit_cells(blocks_of(X), 4, 3, max_rows=500, seed=seed)
    assert e.value.n_points > 500
    assert e.value.copied > 0.5


def test_more_clusters_than_distinct_points_are_refused() -> None:
    X = np.repeat(np.arange(40, dtype=np.float32), 5)[:, None]
    with pytest.raises(TooFewDistinct, match="n_clusters=50 should be <= 40"):
        fit_split(blocks_of(X), 50, 7, PARAMS, max_rows=500, seed=0)


@pytest.mark.parametrize(("n_distinct", "leaves"), [(1, range(100, 101)), (4, range(50, 100))])
def test_a_cell_short_of_distinct_points_gets_a_leaf_for_each(
    n_distinct: int, leaves: range
) -> None:
    rng = np.random.default_rng(0)
    copies = np.stack([np.arange(500) % n_distinct, np.zeros(500)], axis=1)
    X = np.concatenate([copies, 1000 + rng.integers(0, 500, (500, 2))]).astype(np.float32)
    split = fit_split(blocks_of(X), 100, 4, PARAMS, max_rows=10**6, seed=0)
    assert len(split.routing.leaves) in leaves  # copies of a cell's centroid take only one
    assert (split.described["counts"] > 0).all()
