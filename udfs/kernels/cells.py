"""Many clusters by splitting: coarse cells first, then every cell on its own.

A flat pass costs n * k * d, and 2 * n * sqrt(k) * d with sqrt(k) cells of sqrt(k) clusters each
(two-level k-means, as in the inverted lists of similarity search: Jegou et al., "Product
Quantization for Nearest Neighbor Search", 2011). A point belongs to the nearest cell, and there to
the nearest leaf.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.grid import join_limbs
from udfs.kernels.hashing import derive_seed, hash_keys
from udfs.kernels.iterations import Iteration, KMeansParams, OnIteration
from udfs.kernels.journal import NO_JOURNAL, Journal
from udfs.kernels.kmeans import fit_kmeans
from udfs.kernels.nearest import Centroids
from udfs.kernels.passes import Arrays
from udfs.kernels.quotas import divide_quotas
from udfs.kernels.routing import Routing
from udfs.kernels.sources import CellSource, LocalBlocks, blocks_of
from udfs.kernels.start import TooFewDistinct
from udfs.kernels.steps.members import DescribeClusters, LabelPoints

SAMPLE_PER_CELL = 256  # points that a cell's centroid is fitted on
LARGEST_CELL = 2.0  # in mean cells: beyond, it is divided, as a cell's work grows with its square
_MAX_DIVISIONS = 8  # rounds of dividing cells that are too large
_COARSE = KMeansParams(algorithm="lloyd", max_iter=10)


class CellTooLarge(ValueError):
    """A cell holds more points than it may, and cannot be divided."""


@dataclass(frozen=True, eq=False)
class SplitLevel:
    """A level solved in cells.

    Attributes
    ----------
    described : what ``DescribeClusters`` gives, over the leaves
    """

    routing: Routing
    described: Arrays


@dataclass(frozen=True, eq=False)
class SplitProblem:
    """What every cell is to be solved for; a ``CellProblem``.

    Attributes
    ----------
    n_points, n_clusters : (n_cells,) int64
    copied : the centroids, (1, n_features) each, of cells too large but for copies of them
    """

    centroids: Centroids
    n_points: NDArray[np.int64]
    n_clusters: NDArray[np.int64]
    copied: Mapping[int, NDArray[np.float32]]
    params: KMeansParams
    seed: int

    def solve(self, cell: int, points: LocalBlocks, n_copies: int = 0) -> Arrays:
        """Fit a cell's clusters and describe them.

        Result: ``leaves`` (k, d) and what ``DescribeClusters`` gives. A cell with fewer distinct
        points than clusters has a leaf for each of them. Copies are a leaf, and of no weight in
        the fit of the others.
        """
        n_clusters, seed = int(self.n_clusters[cell]), derive_seed(self.seed, cell)
        leaves = self.copied.get(cell, points.X[:0])
        if len(leaves):
            others = points.X[(points.X != leaves).any(axis=1)]
            n_copies += len(points.X) - len(others)
            points = blocks_of(others)
        if n_clusters > len(leaves):
            fitted = _fit_at_most(points, n_clusters - len(leaves), self.params, seed=seed)
            leaves = np.concatenate([leaves, fitted])
        described = points.reduce(DescribeClusters(Centroids(leaves)))
        described["counts"][0] += n_copies
        filled = described["counts"] > 0
        return {"leaves": leaves[filled]} | {n: a[filled] for n, a in described.items()}


def fit_split(
    source: CellSource,
    n_clusters: int,
    n_cells: int,
    params: KMeansParams,
    *,
    max_rows: int,
    seed: int,
    on_iteration: OnIteration = lambda iteration: None,
    journal: Journal = NO_JOURNAL,
) -> SplitLevel:
    """Solve one level in cells, or go on from where a journal says.

    Parameters
    ----------
    max_rows : points that one cell may hold, besides copies of its centroid

    Raises
    ------
    TooFewDistinct
        If the source has fewer distinct points than clusters.
    CellTooLarge
        If points lie so close together that a cell holds more of them than it may.
    """
    if known := journal.load():
        centroids, n_points = known["centroids"], known["n_points"]
    else:
        centroids, n_points = fit_cells(
            source, n_clusters, n_cells, max_rows=max_rows, seed=seed, on_iteration=on_iteration
        )
        journal.save(centroids=centroids, n_points=n_points)
    began = time.perf_counter()
    shares = share_clusters(n_clusters, n_points)
    copied = {int(cell): centroids[[cell]] for cell in np.flatnonzero(n_points > max_rows)}
    cells = Centroids(centroids)
    solved = source.solve(SplitProblem(cells, n_points, shares, copied, params, seed))
    n_leaves = np.array([len(cell["leaves"]) for cell in solved])
    if n_leaves.sum() < n_clusters and (n_leaves < shares).all():
        raise TooFewDistinct(
            f"n_clusters={n_clusters} should be <= {n_leaves.sum()}, the number of distinct points"
        )
    joined = {name: np.concatenate([cell[name] for cell in solved]) for name in solved[0]}
    objective = join_limbs(joined["inertia"].sum(axis=0))
    n_empty = int(n_clusters - n_leaves.sum())
    seconds = time.perf_counter() - began
    on_iteration(
        Iteration(_COARSE.max_iter, "cells", source.n_rows, objective, 0.0, n_empty, seconds)
    )
    starts = np.concatenate([[0], np.cumsum(n_leaves)])
    routing = Routing(cells, joined.pop("leaves"), starts)
    return SplitLevel(routing, joined)


def fit_cells(
    source: CellSource,
    n_clusters: int,
    n_cells: int,
    *,
    max_rows: int,
    seed: int,
    on_iteration: OnIteration = lambda iteration: None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Fit coarse cells on a sample by hash, and divide those that are too large.

    Returns
    -------
    centroids : (about n_cells, n_features) float32
    n_points : (about n_cells,) int64, as the sample has it: each enough for a cluster, at most
        max_rows but for copies of the centroid, and, where the points can be told apart, about
        LARGEST_CELL mean cells

    Raises
    ------
    CellTooLarge
        If a cell stays larger than max_rows, without those copies.
    """
    share = min(1.0, SAMPLE_PER_CELL * n_cells / source.n_rows)
    sample = source.head(max(1, round(share * source.n_blocks)))
    limit = min(max_rows, int(LARGEST_CELL * source.n_rows / n_cells))
    seed_here = derive_seed(seed, -2)
    C = _fit_at_most(sample, n_cells, _COARSE, seed=seed_here, on_iteration=on_iteration)
    # divide large cells, and drop starved ones: too small for a cluster
    for i in range(_MAX_DIVISIONS):
        labels, n_points = _count(sample, C, source.n_rows)
        starved = share_clusters(n_clusters, n_points) == 0
        large = n_points > limit
        if not (starved.any() or large.any()):
            return C, n_points
        parts = [C[~starved & ~large]]
        for cell in np.flatnonzero(large):
            mine = sample.take(sample.positions[labels == cell])
            n_parts = int(-(-3 * n_points[cell] // (2 * limit)))
            parts.append(_fit_at_most(mine, n_parts, _COARSE, seed=derive_seed(seed, -3 - i)))
        before, C = C, np.concatenate(parts)
        if np.array_equal(before, C):  # all that is large are copies of one point
            break
    labels, n_points = _count(sample, C, source.n_rows)
    C = _put_on_copies(C, sample.X, labels, np.flatnonzero(n_points > limit))
    return _without_starved(sample, C, n_clusters, source.n_rows, max_rows=max_rows)


def _without_starved(
    sample: LocalBlocks, C: NDArray[np.float32], n_clusters: int, n_rows: int, *, max_rows: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Drop starved cells for good: divided again, their neighbours may give them back for ever."""
    labels, n_points = _count(sample, C, n_rows)
    while (starved := share_clusters(n_clusters, n_points) == 0).any():
        C = C[~starved]
        labels, n_points = _count(sample, C, n_rows)
    for cell in np.flatnonzero(n_points > max_rows):
        n_apart = int((sample.X[labels == cell] != C[cell]).any(axis=1).sum())
        n_apart = -(-n_apart * n_rows // sample.n_rows)
        if n_apart > max_rows:
            raise CellTooLarge(
                f"a cell of {n_apart} points cannot be divided, want at most {max_rows}; filter "
                "out near copies by input.where, or set cluster.split: off"
            )
    return C, n_points


def _put_on_copies(
    C: NDArray[np.float32],
    X: NDArray[np.float32],
    labels: NDArray[np.int32],
    cells: NDArray[np.intp],
) -> NDArray[np.float32]:
    """Move the centroid of a cell whose points are mostly copies of one onto that point."""
    C = C.copy()
    for cell in cells:
        mine = X[labels == cell]
        middle = np.median(mine, axis=0)  # where most are copies, one of them
        if (mine == middle).all(axis=1).mean() > 0.5 and (C[cell] != middle).any():
            C[cell] = middle
    return C


def _count(
    sample: LocalBlocks, C: NDArray[np.float32], n_rows: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Give the sample's cells, (n_sampled,), and the points that it shows in each, (n_cells,)."""
    labels = sample.reduce(LabelPoints(Centroids(C)))["labels"]
    return labels, -(-np.bincount(labels, minlength=len(C)) * n_rows // sample.n_rows)


def _fit_at_most(
    points: LocalBlocks,
    n_clusters: int,
    params: KMeansParams,
    *,
    seed: int,
    on_iteration: OnIteration = lambda iteration: None,
) -> NDArray[np.float32]:
    """Fit clusters, or give each distinct point where there are fewer of those."""
    try:
        return fit_kmeans(points, n_clusters, params, seed=seed, on_iteration=on_iteration)
    except TooFewDistinct:
        return np.unique(points.X, axis=0)


def share_clusters(n_clusters: int, n_points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Share clusters among cells in proportion to their points : (n_cells,) int64."""
    cells = np.arange(len(n_points))
    return divide_quotas(
        np.array([n_clusters]),
        np.zeros(len(n_points), np.int64),
        np.maximum(n_points, 1).astype(np.float64),
        n_points,
        hash_keys(0, cells),
    )
