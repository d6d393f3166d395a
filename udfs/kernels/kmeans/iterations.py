"""What k-means iterations share: their parameters, their record, empty clusters."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.grid import distinct
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.passes.sources import Passable
from udfs.kernels.passes.steps.sums import FarthestPoints


@dataclass(frozen=True)
class KMeansParams:
    """How to solve one k-means problem; the names are scikit-learn's.

    Attributes
    ----------
    algorithm : ``minibatch``, ``lloyd`` or ``auto``
    batch_fraction : share of the blocks in the first mini-batch
    max_no_improvement : iterations without a lower objective before a batch grows early
    reassignment_ratio : a centroid with fewer points than this share of the mean is reseeded before
        the batch grows
    """

    algorithm: str = "auto"
    max_iter: int = 50
    tol: float = 1e-4
    batch_fraction: float = 0.25
    max_no_improvement: int = 10
    reassignment_ratio: float = 0.01


@dataclass(frozen=True)
class Iteration:
    """One iteration, as a row of the ``iterations`` table; objective in squared grid units."""

    iteration: int
    algorithm: str
    n_rows: int
    objective: int
    moved: float
    n_empty: int
    seconds: float


OnIteration = Callable[[Iteration], None]


def reseeded(
    moved_to: NDArray[np.float32],
    empty: NDArray[np.int64],
    points: Passable,
    C: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Put empty clusters on the points farthest from C (k, d), as far as those are distinct."""
    if len(empty) == 0:
        return moved_to
    found = points.reduce(FarthestPoints(Centroids(C)))
    far = found["far_rows"][found["far_keys"] < 0]
    far = distinct(far)[: len(empty)]
    restarted = moved_to.copy()
    restarted[empty[: len(far)]] = far
    return restarted


def optional(text: object) -> int | None:
    """Read a big integer from a journal, where it may be missing."""
    return None if str(text) == "None" else int(str(text))
