"""Which of several similar points stay: every point turned away is similar to the one that stays.

Connected groups would chain: a row of points, each similar to the next, would become one group
whose ends have nothing in common. So points are taken in order of rank, and each goes with the
best of its neighbours that stays, or stays itself: the lexicographically first maximal independent
set (Cook, "A taxonomy of problems with fast parallel algorithms", 1985).
"""

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.near.pairs import Pairs


def keepers_of(pairs: Pairs, n_points: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the point that stays for each.

    Parameters
    ----------
    pairs : pairs in any order, possibly repeated; points are numbered in order of rank

    Returns
    -------
    keeper : (n_points,) int64, itself for a point that stays
    cosine : (n_points,) float64, to the keeper
    """
    keeper, cosine = np.arange(n_points).tolist(), np.ones(n_points)
    order = np.lexsort((pairs.better, pairs.row))
    edges = zip(pairs.row[order].tolist(), pairs.better[order].tolist(), strict=True)
    for at, (row, better) in enumerate(edges):
        if keeper[row] == row and keeper[better] == better:
            keeper[row] = better
            cosine[row] = pairs.cosine[order[at]]
    return np.array(keeper, np.int64), cosine
