"""Coarse cells of a level: fitted on a sample, and divided until none is too large."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import KMeansParams, OnIteration
from udfs.kernels.kmeans.lloyd import fit_kmeans
from udfs.kernels.kmeans.start import TooFewDistinct
from udfs.kernels.passes.sources import CellSource, LocalBlocks
from udfs.kernels.passes.steps.members import LabelPoints
from udfs.kernels.sampling.quotas import divide_quotas

SAMPLE_PER_CELL = 256  # points per cell that centroids are fitted on
LARGEST_CELL = 2.0  # times the mean; larger cells are divided, as work grows with a cell's square
_MAX_DIVISIONS = 8  # rounds of dividing
COARSE = KMeansParams(algorithm="lloyd", max_iter=10)


class CellTooLarge(ValueError):
    """A cell holds more points than allowed and cannot be divided.

    Attributes
    ----------
    n_points : those of the cell, not counting copies of its centroid
    copied : the part of them that are copies of others
    """

    def __init__(self, n_points: int, max_rows: int, copied: float) -> None:
        super().__init__(f"a cell of {n_points} points cannot be divided, want at most {max_rows}")
        self.n_points, self.copied = n_points, copied


@dataclass(frozen=True, eq=False)
class CoarseCells:
    """Cells, and how many points each holds, estimated from a sample.

    Attributes
    ----------
    centroids : (n_cells, n_features) float32
    n_points : (n_cells,) int64
    n_apart : (n_cells,) int64, those that are not copies of the centroid
    """

    centroids: NDArray[np.float32]
    n_points: NDArray[np.int64]
    n_apart: NDArray[np.int64]

    def share(self, n_clusters: int) -> NDArray[np.int64]:
        """Share clusters among the cells in proportion to their points : (n_cells,) int64.

        However many copies a centroid has, they need one cluster, if other points can use the rest.
        """
        one, weights = (self.n_apart < self.n_points).astype(np.int64), self.n_apart
        if not 0 <= n_clusters - one.sum() <= weights.sum():
            one, weights = np.zeros_like(one), self.n_points
        return one + divide_quotas(
            np.array([n_clusters - one.sum()]),
            np.zeros(len(weights), np.int64),
            np.maximum(weights, 1).astype(np.float64),
            weights,
            hash_keys(0, np.arange(len(weights))),
        )


def fit_cells(
    source: CellSource,
    n_clusters: int,
    n_cells: int,
    *,
    max_rows: int,
    seed: int,
    on_iteration: OnIteration = lambda iteration: None,
) -> CoarseCells:
    """Fit coarse cells on a sample by hash, and divide those that are too large.

    Each has enough points for a cluster and at most max_rows, not counting copies of its centroid;
    where points are distinct, it holds at most about LARGEST_CELL times the mean.

    Raises
    ------
    CellTooLarge
        If a cell stays larger than max_rows, not counting those copies.
    """
    share = min(1.0, SAMPLE_PER_CELL * n_cells / source.n_rows)
    sample = source.head(max(1, round(share * source.n_blocks)))
    limit = min(max_rows, int(LARGEST_CELL * source.n_rows / n_cells))
    seed_here = derive_seed(seed, -2)
    C = fit_at_most(sample, n_cells, COARSE, seed=seed_here, on_iteration=on_iteration)
    # divide large cells, and drop starved ones: too small for a cluster
    for i in range(_MAX_DIVISIONS):
        labels, cells = _count(sample, C, source.n_rows)
        starved = cells.share(n_clusters) == 0
        large = cells.n_points > limit
        if not (starved.any() or large.any()):
            return cells
        parts = [C[~starved & ~large]]
        for cell in np.flatnonzero(large):
            mine = sample.take(sample.positions[labels == cell])
            n_parts = int(-(-3 * cells.n_points[cell] // (2 * limit)))
            parts.append(fit_at_most(mine, n_parts, COARSE, seed=derive_seed(seed, -3 - i)))
        before, C = C, np.concatenate(parts)
        if np.array_equal(before, C):  # each large cell consists of copies of one point
            break
    labels, cells = _count(sample, C, source.n_rows)
    C = _put_on_copies(C, sample.X, labels, np.flatnonzero(cells.n_points > limit))
    return _without_starved(sample, C, n_clusters, source.n_rows, max_rows=max_rows)


def _without_starved(
    sample: LocalBlocks, C: NDArray[np.float32], n_clusters: int, n_rows: int, *, max_rows: int
) -> CoarseCells:
    """Drop starved cells and stop dividing: their neighbours could recreate them forever."""
    labels, cells = _count(sample, C, n_rows)
    while (starved := cells.share(n_clusters) == 0).any():
        labels, cells = _count(sample, cells.centroids[~starved], n_rows)
    if (n_points := int(cells.n_apart.max())) > max_rows:
        largest = int(cells.n_apart.argmax())
        mine = sample.X[(labels == largest) & (sample.X != cells.centroids[largest]).any(axis=1)]
        copied = 1 - len(np.unique(mine, axis=0)) / len(mine) if len(mine) else 0.0
        raise CellTooLarge(n_points, max_rows, copied)
    return cells


def _put_on_copies(
    C: NDArray[np.float32],
    X: NDArray[np.float32],
    labels: NDArray[np.int32],
    cells: NDArray[np.intp],
) -> NDArray[np.float32]:
    """Move the centroid of a cell made mostly of copies of one point onto that point."""
    C = C.copy()
    for cell in cells:
        mine = X[labels == cell]
        middle = np.median(mine, axis=0)  # if most points are copies, this is one of them
        if (mine == middle).all(axis=1).mean() > 0.5 and (C[cell] != middle).any():
            C[cell] = middle
    return C


def _count(
    sample: LocalBlocks, C: NDArray[np.float32], n_rows: int
) -> tuple[NDArray[np.int32], CoarseCells]:
    """Return each sampled point's cell, (n_sampled,), and the cells' estimated sizes."""
    found = sample.reduce(LabelPoints(Centroids(C)))
    labels = found["labels"]
    sampled = np.bincount(labels, minlength=len(C))
    copies = np.bincount(labels[found["sq_dist"] == 0], minlength=len(C))
    copies[copies < 2] = 0  # a single point is not a copy
    n_points, n_apart = (-(-n * n_rows // sample.n_rows) for n in (sampled, sampled - copies))
    return labels, CoarseCells(C, n_points, n_apart)


def fit_at_most(
    points: LocalBlocks,
    n_clusters: int,
    params: KMeansParams,
    *,
    seed: int,
    on_iteration: OnIteration = lambda iteration: None,
) -> NDArray[np.float32]:
    """Fit clusters, or return the distinct points if there are fewer of those."""
    try:
        return fit_kmeans(points, n_clusters, params, seed=seed, on_iteration=on_iteration)
    except TooFewDistinct:
        return np.unique(points.X, axis=0)
