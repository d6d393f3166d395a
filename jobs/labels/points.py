"""Measures over labelled points: how evenly labels spread, and how well they follow the vectors."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from jobs.reporting.rows import Row, figure_rows, label_rows

CLASSIFIED_ROWS = 20_000  # hash sample of the pool
_NEIGHBOURS = 5

LabelCounts = Mapping[str, int]


def label_point_rows(
    pool: LabelCounts,
    samples: Mapping[str, LabelCounts],
    controls: Mapping[str, LabelCounts],
    accuracy: float,
) -> list[Row]:
    """Return how evenly labels are spread, in the pool, the samples and their controls.

    Parameters
    ----------
    samples, controls : sample -> its counts, and those of a uniform draw of its size
    accuracy : accuracy of labels predicted from the vectors; see ``knn_accuracy``
    """
    labels = sorted(pool, key=lambda name: (-pool[name], name))
    rows = label_rows(None, pool, None, labels)
    for name, counts in samples.items():
        rows += label_rows(name, counts, controls[name], labels)
    return rows + figure_rows("labels", None, {"knn_accuracy": accuracy})


def knn_accuracy(X: NDArray[np.float32], y: NDArray[np.str_]) -> float:
    """Return the accuracy of classifying every other point by its neighbours among the rest.

    Parameters
    ----------
    X : (n, d)
    y : (n,)
    """
    neighbours = KNeighborsClassifier(min(_NEIGHBOURS, max(1, len(X) // 2)))
    if len(X) < 2:
        return float("nan")
    return float(neighbours.fit(X[::2], y[::2]).score(X[1::2], y[1::2]))
