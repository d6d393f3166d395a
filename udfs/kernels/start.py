"""Where k-means starts: k-means|| finds candidates, greedy k-means++ picks among them.

k-means||: Bahmani et al., "Scalable K-Means++" (2012); here each round draws a fixed number of
points (see ``DrawCandidates``). Greedy k-means++: Arthur and Vassilvitskii (2007), with the best
of 2 + log k draws at each step, weighted by the points nearest to each candidate.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.hashing import derive_seed, uniform
from udfs.kernels.nearest import Centroids
from udfs.kernels.sources import BlockSource
from udfs.kernels.steps import AssignAndSum, DrawCandidates

DistancesTo = Callable[[NDArray[np.intp]], NDArray[np.float64]]  # (t,) indices -> (t, m)

N_ROUNDS = 5  # of k-means||
OVERSAMPLING = 2.0  # candidates in all, per cluster
_MAX_TOP_UPS = 20  # further rounds when duplicates leave fewer than k distinct candidates
_GRAM_CANDIDATES = 5000  # up to here all distances between candidates are kept (200 MB)


def start_centroids(source: BlockSource, n_clusters: int, *, seed: int) -> NDArray[np.float32]:
    """Choose distinct points to start from.

    Returns
    -------
    centroids : (n_clusters, n_features) float32, grid coordinates

    Raises
    ------
    ValueError
        If the source has fewer distinct points than clusters.
    """
    candidates = draw_candidates(source, n_clusters, seed=seed)
    if len(candidates) == n_clusters:
        return candidates
    summed = source.reduce(AssignAndSum(Centroids(candidates), with_sums=False))
    weights = np.zeros(len(candidates), np.int64)
    weights[summed["labels"]] = summed["counts"]
    chosen = greedy_kmeans_plusplus(candidates, weights, n_clusters, seed=derive_seed(seed, -1))
    return candidates[chosen]


def draw_candidates(source: BlockSource, n_clusters: int, *, seed: int) -> NDArray[np.float32]:
    """Draw about OVERSAMPLING * n_clusters distinct points by k-means|| : (m, d) float32."""
    n_draws = math.ceil(OVERSAMPLING * n_clusters / N_ROUNDS)
    found = np.empty((0, source.n_features), np.float32)
    for i in range(N_ROUNDS + _MAX_TOP_UPS):
        if i >= N_ROUNDS and len(found) >= n_clusters:
            break
        step = DrawCandidates(Centroids(found), n_draws if i else 1, derive_seed(seed, i))
        drawn = source.reduce(step)["draw_rows"]
        if len(drawn) == 0:
            break
        found = np.vstack([found, _distinct(drawn)])
    if len(found) < n_clusters:
        raise ValueError(
            f"n_clusters={n_clusters} should be <= {len(found)}, the number of distinct points"
        )
    return found


def greedy_kmeans_plusplus(
    candidates: NDArray[np.float32],
    weights: NDArray[np.int64],
    n_clusters: int,
    *,
    seed: int,
) -> NDArray[np.intp]:
    """Pick distinct candidates by weighted greedy k-means++.

    Parameters
    ----------
    candidates : (m, n_features) float32 grid coordinates, all distinct
    weights : (m,) int64, points that each candidate stands for

    Returns
    -------
    chosen : (n_clusters,) indices, in the order in which they were picked
    """
    n_trials = 2 + int(math.log(n_clusters))
    draws = uniform(seed, np.arange(n_clusters * n_trials)).reshape(n_clusters, n_trials)
    distances_to = _distances_between(candidates)
    # a weight of 0 stands for points that all lie nearer to another candidate
    weight = np.maximum(weights, 1).astype(np.float64)
    first = int(np.searchsorted(np.cumsum(weight), draws[0, 0] * weight.sum(), side="right"))
    chosen = [first]
    nearest = distances_to(np.array([first]))[0]
    for i in range(1, n_clusters):
        scaled = weight * _scale(weight * nearest)
        cumulative = np.cumsum(np.floor(nearest * scaled))  # exact: integers below 2^53
        trials = np.searchsorted(cumulative, draws[i] * cumulative[-1], side="right")
        closer = np.minimum(distances_to(trials), nearest)  # (n_trials, m)
        best = int(np.floor(closer * scaled).sum(axis=1).argmin())
        chosen.append(int(trials[best]))
        nearest = closer[best]
    return np.array(chosen)


def _scale(potentials: NDArray[np.float64]) -> float:
    """Give the power of two that makes the potentials' floors sum exactly, below 2^52."""
    _, exponent = math.frexp(float(potentials.max()) * len(potentials))
    return math.ldexp(1.0, 52 - exponent)


def _distances_between(candidates: NDArray[np.float32]) -> DistancesTo:
    """Give a function from indices (t,) to exact squared distances (t, m)."""
    X = candidates.astype(np.float64)
    sq_norms = np.einsum("ij,ij->i", X, X)  # all terms are integers below 2^53: exact

    def compute(rows: NDArray[np.intp]) -> NDArray[np.float64]:
        exact: NDArray[np.float64] = sq_norms[rows, None] - 2 * (X[rows] @ X.T) + sq_norms
        return exact

    if len(X) > _GRAM_CANDIDATES:
        return compute
    everything = compute(np.arange(len(X)))
    return lambda rows: everything[rows]


def _distinct(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Drop repeated rows, keeping the first of each and the order."""
    _, first = np.unique(rows, axis=0, return_index=True)
    return rows[np.sort(first)]
