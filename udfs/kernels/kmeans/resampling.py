"""One level of the tree: k-means, then rounds of k-means on each cluster's closest members.

Source: "Automatic Data Curation for Self-Supervised Learning" (arXiv 2405.15613), section 3.3.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.hashing import derive_seed
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import Iteration, KMeansParams
from udfs.kernels.kmeans.lloyd import fit_kmeans
from udfs.kernels.kmeans.start import start_centroids
from udfs.kernels.passes.journal import NO_JOURNAL, Journal
from udfs.kernels.passes.sources import BlockSource
from udfs.kernels.passes.steps.members import ClosestMembers


def closest_points(points: int | None, n_rows: int, n_clusters: int) -> int:
    """Return r, the members kept per cluster; None means half the mean cluster, at least 2."""
    return points if points is not None else max(2, n_rows // (2 * n_clusters))


def fit_level(
    source: BlockSource,
    n_clusters: int,
    params: KMeansParams,
    *,
    rounds: int,
    points: int | None,
    seed: int,
    on_iteration: Callable[[int, Iteration], None] = lambda round_, iteration: None,
    start: Callable[..., NDArray[np.float32]] = start_centroids,
    journal: Journal = NO_JOURNAL,
) -> NDArray[np.float32]:
    """Solve one level with resampling, or resume from a journal.

    Parameters
    ----------
    source : the pool's points at level 1, the centroids below otherwise
    rounds : resampling rounds, m_t of the paper
    points : members kept per cluster and round, r_t of the paper; None for automatic
    on_iteration : called with (round, iteration); round 0 is the fit before resampling

    Returns
    -------
    centroids : (n_clusters, n_features) float32, grid coordinates
    """

    def fit(points: BlockSource, m: int) -> NDArray[np.float32]:
        C = fit_kmeans(
            points,
            n_clusters,
            params,
            seed=derive_seed(seed, m),
            on_iteration=partial(on_iteration, m),
            start=start,
            journal=journal.parts(),
        )
        journal.save(C=C, round=m)
        return C

    known = journal.load()
    C, done = (known["C"], int(known["round"])) if known else (fit(source, 0), 0)
    n_closest = closest_points(points, source.n_rows, n_clusters)
    for m in range(done + 1, rounds + 1):
        # 1. the members closest to each centroid
        members = source.reduce(ClosestMembers(Centroids(C), n_closest))
        subset = source.take(np.sort(members["positions"]))
        # 2. a fresh fit on those only
        try:
            C = fit(subset, m)
        finally:
            subset.release()
    return C
