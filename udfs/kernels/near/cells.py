"""Cells to search for near duplicates in: k-means on a sample, and each point's nearest ones.

Similar points may lie on different sides of a border, and where three cells meet their two nearest
may not have one in common. So a point is searched in up to three cells: those that are farther than
its nearest by no more than similar points are apart. Of planted pairs at a cosine of .95 to 1
(200,000 x 256, 473 cells), two cells hold 97.5% and three 99.6%; as inner points need one, three
under this rule are 2.06 on average.
"""

import math

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.cells.coarse import fit_cells
from udfs.kernels.exact.nearest import Buffers, Centroids, error_bound, scores_of, sq_distances
from udfs.kernels.passes.sources import blocks_of

CELL_ROWS = 512  # at least, on average: smaller cells lose pairs and save little
MOST_CELLS = 8192  # so that the sample fits the driver
SAMPLE_PER_CELL = 32  # points that the cells are fitted on, per cell
_SCORES_AT_ONCE = 1 << 20  # scores, few enough to stay in the cache
MOST_SEARCHED = 3  # cells searched for a point
_PAIRS_AT_ONCE = 1 << 14  # (row, centroid) pairs whose distances are computed together


def n_cells_for(n_points: int) -> int:
    """Return the number of cells for ``n_points``: about its square root."""
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


class NearestCells:
    """Finds the cells that points are searched in, exactly; one per task and thread.

    Parameters
    ----------
    within : how much larger a cell's squared distance may be than the nearest one's, in squared
        grid units
    """

    def __init__(self, centroids: Centroids, within: float) -> None:
        self.centroids = centroids
        self._within = within
        self._most = min(MOST_SEARCHED, len(centroids.vectors))
        self._buffers = Buffers()

    def __call__(self, X: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Find every row's cells, nearest first, ties to the lowest index.

        Parameters
        ----------
        X : (n_samples, n_features) float32, grid coordinates

        Returns
        -------
        cells : (n_samples, MOST_SEARCHED or fewer) int32; -1 where there are no more
        sq_dist : (n_samples,) float64, exact, to the nearest
        """
        cells, sq_dist = np.empty((len(X), self._most), np.int32), np.empty(len(X))
        n_rows = max(1, _SCORES_AT_ONCE // len(self.centroids.vectors))
        for start in range(0, len(X), n_rows):
            run = slice(start, start + n_rows)
            cells[run], sq_dist[run] = self._find(X[run])
        return cells, sq_dist

    def _find(self, X: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        # 1. the best scores
        scores = self._scores(X)
        rows, found, best = np.arange(len(X)), [], []
        for _ in range(self._most):
            found.append(scores.argmax(axis=1))
            best.append(scores[rows, found[-1]])
            scores[rows, found[-1]] = -np.inf
        cells, tops = np.stack(found, axis=1), np.stack(best, axis=1)  # (n_samples, most)
        # 2. exact distances decide where scores are within the error of each other
        slack = 2 * error_bound(X, self.centroids)
        gaps = tops - np.column_stack([tops[:, 1:], scores.max(axis=1)])
        unsure = np.flatnonzero((gaps <= slack[:, None]).any(axis=1))
        if len(unsure):
            low = (tops[:, -1] - slack)[unsure, None]
            which, other = np.nonzero(scores[unsure] >= low)
            row = np.concatenate([unsure[which], np.repeat(unsure, self._most)])
            candidate = np.concatenate([other, cells[unsure].ravel()])
            cells[unsure] = self._nearest(X, row, candidate)
        # 3. those hardly farther than the nearest; a score is half a squared distance, negated
        C = self.centroids.vectors
        sq_dist = self._buffers.sq_distances(X, C, cells[:, 0])
        may_be = tops[:, :1] - tops <= (self._within / 2 + slack)[:, None]
        may_be[unsure] = True
        row, place = np.nonzero(may_be[:, 1:])
        place += 1
        is_far = np.ones(cells.shape, bool)
        is_far[:, 0] = False
        farther = _sq_distances(X, C, row, cells[row, place])
        is_far[row, place] = farther > sq_dist[row] + self._within
        return np.where(is_far, -1, cells), sq_dist

    def _scores(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = scores_of(X, self.centroids, self._buffers)
        if len(self.centroids.folded) == 1:
            return next(parts)
        return np.hstack([part.copy() for part in parts])

    def _nearest(
        self, X: NDArray[np.float32], row: NDArray[np.intp], candidate: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Return each row's nearest candidates, rows in order : (n_rows, most)."""
        sq_dist = _sq_distances(X, self.centroids.vectors, row, candidate)
        order = np.lexsort((candidate, sq_dist, row))
        starts = np.flatnonzero(np.append(True, np.diff(row[order]) > 0))
        return np.asarray(candidate[order][starts[:, None] + np.arange(self._most)])


def members_of(cells: NDArray[np.int32], n_cells: int) -> list[NDArray[np.int64]]:
    """Return the rows that are searched in each cell, those with any : (n_members,) each, sorted.

    Parameters
    ----------
    cells : (n_samples, n_searched), of ``NearestCells``
    """
    rows, _ = places = np.nonzero(cells >= 0)
    cell = cells[places]
    order = np.argsort(cell, kind="stable")
    ends = np.cumsum(np.bincount(cell, minlength=n_cells))
    return [part for part in np.split(rows[order], ends[:-1]) if len(part)]


def _sq_distances(
    X: NDArray[np.float32],
    C: NDArray[np.float32],
    row: NDArray[np.intp],
    candidate: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return exact squared distances of pairs : (n_pairs,), some at a time."""
    pieces = (slice(i, i + _PAIRS_AT_ONCE) for i in range(0, len(row), _PAIRS_AT_ONCE))
    parts = [sq_distances(X[row[s]], C[candidate[s]]) for s in pieces]
    return np.concatenate([*parts, np.empty(0)])


def searched_within(threshold: float, unit: float) -> float:
    """Return how much farther than the nearest a cell may be, for points of length 1.

    It is the squared distance of two points that are just similar.

    Parameters
    ----------
    threshold : the cosine of similar points
    unit : grid unit
    """
    return 2 * (1 - threshold) / unit**2
