"""Cells to search for near duplicates in: k-means on a sample, and each point's two nearest.

Two similar points may lie on different sides of a border, but then the other side is the second
nearest of at least one of them, and nearly always of both.
"""

import math

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.cells.coarse import fit_cells
from udfs.kernels.exact.nearest import Buffers, Centroids, error_bound, scores_of, sq_distances
from udfs.kernels.passes.sources import blocks_of

CELL_ROWS = 512  # at the least, on average: smaller cells lose pairs and save little
MOST_CELLS = 8192  # so that the sample fits the driver
SAMPLE_PER_CELL = 32  # points that the cells are fitted on
_SCORES_AT_ONCE = 1 << 20  # they stay in the cache
_PAIRS_AT_ONCE = 1 << 14  # (row, centroid) pairs re-scored together


def n_cells_for(n_points: int) -> int:
    """Return the number of cells for so many points: about their square root."""
    return max(1, min(math.isqrt(n_points), n_points // CELL_ROWS, MOST_CELLS))


def fit_search_cells(
    X: NDArray[np.float32], n_cells: int, *, seed: int, n_threads: int = 1
) -> NDArray[np.float32]:
    """Fit cells on a sample, those with far more points than others divided.

    Parameters
    ----------
    X : (n_samples, n_features) float32, grid coordinates

    Returns
    -------
    centroids : (about n_cells, n_features) float32
    """
    sample = blocks_of(X, n_threads)
    # a cell with an eighth of the mean's points may stay
    return fit_cells(
        sample, min(8 * n_cells, len(X)), min(n_cells, len(X)), max_rows=len(X), seed=seed
    ).centroids


class TwoNearest:
    """Finds points' two nearest cells, exactly; one per task and thread."""

    def __init__(self, centroids: Centroids) -> None:
        self.centroids = centroids
        self._buffers = Buffers()

    def __call__(self, X: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Find every row's two nearest cells; ties go to the lowest index.

        Parameters
        ----------
        X : (n_samples, n_features) float32, grid coordinates

        Returns
        -------
        cells : (n_samples, 2) int32, the nearest first; (n_samples, 1) if there is only one
        sq_dist : (n_samples,) float64, exact, to the nearest
        """
        C = self.centroids.vectors
        cells = np.zeros((len(X), min(2, len(C))), np.int32)
        sq_dist = np.empty(len(X))
        n_rows = max(1, _SCORES_AT_ONCE // len(C))
        for start in range(0, len(X), n_rows):
            run = slice(start, start + n_rows)
            if len(C) > 1:
                cells[run] = self._find(X[run])
            sq_dist[run] = self._buffers.sq_distances(X[run], C, cells[run, 0].astype(np.intp))
        return cells, sq_dist

    def _find(self, X: NDArray[np.float32]) -> NDArray[np.intp]:
        # 1. the two best scores
        parts = scores_of(X, self.centroids, self._buffers)
        if len(self.centroids.folded) > 1:
            scores = np.hstack([part.copy() for part in parts])
        else:
            (scores,) = parts
        rows, found = np.arange(len(X)), []
        tops = []
        for _ in range(2):
            found.append(scores.argmax(axis=1))
            tops.append(scores[rows, found[-1]])
            scores[rows, found[-1]] = -np.inf
        two = np.stack(found, axis=1)  # (n_samples, 2)
        # 2. exact distances decide where scores are within the error of each other
        first, second = tops
        slack = 2 * error_bound(X, self.centroids)
        unsure = np.flatnonzero((first - second <= slack) | (scores.max(axis=1) >= second - slack))
        if len(unsure):
            which, other = np.nonzero(scores[unsure] >= (second - slack)[unsure, None])
            row = np.concatenate([unsure[which], np.repeat(unsure, 2)])
            candidate = np.concatenate([other, two[unsure].ravel()])
            two[unsure] = _nearest_two(X, self.centroids.vectors, row, candidate)
        return two


def _nearest_two(
    X: NDArray[np.float32],
    C: NDArray[np.float32],
    row: NDArray[np.intp],
    candidate: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Return each row's two nearest candidates, rows in order : (n_rows, 2)."""
    pieces = (slice(i, i + _PAIRS_AT_ONCE) for i in range(0, len(row), _PAIRS_AT_ONCE))
    sq_dist = np.concatenate([sq_distances(X[row[s]], C[candidate[s]]) for s in pieces])
    order = np.lexsort((candidate, sq_dist, row))
    starts = np.flatnonzero(np.r_[True, np.diff(row[order]) > 0])
    return np.asarray(candidate[order][starts[:, None] + np.arange(2)])
