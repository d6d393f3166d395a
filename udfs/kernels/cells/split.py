"""Many clusters by splitting: coarse cells first, then every cell on its own.

A flat pass costs n * k * d; sqrt(k) cells of sqrt(k) clusters each cost 2 * n * sqrt(k) * d
(two-level k-means, as in the inverted lists of similarity search: Jegou et al., "Product
Quantization for Nearest Neighbor Search", 2011). A point belongs to the nearest cell, and there to
the nearest leaf.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.cells.coarse import COARSE, CoarseCells, fit_at_most, fit_cells
from udfs.kernels.cells.routing import Routing
from udfs.kernels.exact.grid import join_limbs
from udfs.kernels.exact.hashing import derive_seed
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import Iteration, KMeansParams, OnIteration
from udfs.kernels.kmeans.start import TooFewDistinct
from udfs.kernels.passes.journal import NO_JOURNAL, Journal
from udfs.kernels.passes.sources import CellSource, LocalBlocks, blocks_of
from udfs.kernels.passes.step import Arrays
from udfs.kernels.passes.steps.members import DescribeClusters


@dataclass(frozen=True, eq=False)
class SplitLevel:
    """A level solved in cells.

    Attributes
    ----------
    described : the result of ``DescribeClusters`` over the leaves
    """

    routing: Routing
    described: Arrays


@dataclass(frozen=True, eq=False)
class SplitProblem:
    """The problem to solve in every cell; a ``CellProblem``.

    Attributes
    ----------
    n_points, n_clusters : (n_cells,) int64
    copied : centroids, (1, n_features) each, of cells that are too large only by their copies
    """

    centroids: Centroids
    n_points: NDArray[np.int64]
    n_clusters: NDArray[np.int64]
    copied: Mapping[int, NDArray[np.float32]]
    params: KMeansParams
    seed: int

    def solve(self, cell: int, points: LocalBlocks, n_copies: int = 0) -> Arrays:
        """Fit a cell's clusters and describe them.

        Result: ``leaves`` (k, d) and the result of ``DescribeClusters``. A cell with fewer distinct
        points than clusters has a leaf for each of them. The copies form one leaf and carry no
        weight in the fit of the others.
        """
        n_clusters, seed = int(self.n_clusters[cell]), derive_seed(self.seed, cell)
        leaves = self.copied.get(cell, points.X[:0])
        if len(leaves):
            others = points.X[(points.X != leaves).any(axis=1)]
            n_copies += len(points.X) - len(others)
            points = blocks_of(others)
        if n_clusters > len(leaves):
            fitted = fit_at_most(points, n_clusters - len(leaves), self.params, seed=seed)
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
    """Solve one level in cells, or resume from a journal.

    Parameters
    ----------
    max_rows : points that one cell may hold, not counting copies of its centroid

    Raises
    ------
    TooFewDistinct
        If the source has fewer distinct points than clusters.
    CellTooLarge
        If points lie so close together that a cell holds more than max_rows of them.
    """
    if known := journal.load():
        cells = CoarseCells(**{name: known[name] for name in ("centroids", "n_points", "n_apart")})
    else:
        cells = fit_cells(
            source, n_clusters, n_cells, max_rows=max_rows, seed=seed, on_iteration=on_iteration
        )
        journal.save(**vars(cells))
    began = time.perf_counter()
    shares, centroids = cells.share(n_clusters), Centroids(cells.centroids)
    too_large = np.flatnonzero(cells.n_points > max_rows)
    copied = {int(cell): cells.centroids[[cell]] for cell in too_large}
    solved = source.solve(SplitProblem(centroids, cells.n_points, shares, copied, params, seed))
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
        Iteration(COARSE.max_iter, "cells", source.n_rows, objective, 0.0, n_empty, seconds)
    )
    starts = np.concatenate([[0], np.cumsum(n_leaves)])
    routing = Routing(centroids, joined.pop("leaves"), starts)
    return SplitLevel(routing, joined)
