"""Diverse draws: each next point is the one farthest from those drawn so far.

Source: Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985): no set of n
points leaves any point closer than half as far as this one does.
"""

import numpy as np
from numpy.typing import NDArray


def farthest_first(
    X: NDArray[np.float32], n_drawn: int, first: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the order in which points are drawn, each the farthest from all before it.

    Distances are exact, as the points are on the grid; ties go to the lowest index.

    Parameters
    ----------
    X : (n, d) on the grid
    n_drawn : at most n
    first : (n_first,) indices to begin with, at least one

    Returns
    -------
    order : (n_drawn,) indices
    """
    points = X.astype(np.float64)
    norms = np.einsum("ij,ij->i", points, points)
    nearest = np.full(len(points), np.inf)
    order = np.empty(n_drawn, np.int64)
    for i in range(n_drawn):
        drawn = first[i] if i < len(first) else int(np.argmax(nearest))
        sq_dist = norms + (norms[drawn] - 2.0 * (points @ points[drawn]))
        nearest = np.minimum(nearest, sq_dist)
        nearest[drawn] = -1.0  # copies of it may be drawn later, itself not again
        order[i] = drawn
    return order
