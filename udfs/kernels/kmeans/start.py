"""Where k-means starts: k-means|| finds candidates, greedy k-means++ picks among them.

k-means||: Bahmani et al., "Scalable K-Means++" (2012); here each round draws a fixed number of
points (see ``DrawCandidates``). Greedy k-means++: Arthur and Vassilvitskii (2007), with the best
of 2 + log k draws at each step, weighted by the points nearest to each candidate.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.grid import distinct
from udfs.kernels.exact.hashing import derive_seed, uniform
from udfs.kernels.exact.memory import DistanceMemory
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.passes.sources import BlockSource
from udfs.kernels.passes.steps.draws import CountMembers, DrawCandidates

N_ROUNDS = 5  # rounds of k-means||
OVERSAMPLING = 2.0  # candidates per cluster, over all rounds
_MAX_TOP_UPS = 20  # further rounds if duplicates leave fewer than k distinct candidates
GRAM_CANDIDATES = 8192  # up to here, all distances between candidates are kept (512 MiB)
_FINE_ENOUGH = 2.0**30  # steps in a potential; below this, finer steps are needed


class TooFewDistinct(ValueError):
    """There are fewer distinct points than clusters wanted."""


def start_centroids(source: BlockSource, n_clusters: int, *, seed: int) -> NDArray[np.float32]:
    """Choose distinct points to start from.

    Returns
    -------
    centroids : (n_clusters, n_features) float32, grid coordinates

    Raises
    ------
    TooFewDistinct
        If the source has fewer distinct points than clusters.
    """
    memory = DistanceMemory() if source.remembers else None
    candidates = draw_candidates(source, n_clusters, seed=seed, memory=memory)
    if len(candidates) == n_clusters:
        return candidates
    if memory:
        memory.grow(candidates)
    weights = source.reduce(CountMembers(Centroids(candidates), memory))["counts"]
    chosen = greedy_kmeans_plusplus(candidates, weights, n_clusters, seed=derive_seed(seed, -1))
    return candidates[chosen]


def draw_candidates(
    source: BlockSource, n_clusters: int, *, seed: int, memory: DistanceMemory | None = None
) -> NDArray[np.float32]:
    """Draw about OVERSAMPLING * n_clusters distinct points by k-means|| : (m, d) float32."""
    n_draws = math.ceil(OVERSAMPLING * n_clusters / N_ROUNDS)
    found = np.empty((0, source.n_features), np.float32)
    for i in range(N_ROUNDS + _MAX_TOP_UPS):
        if i >= N_ROUNDS and len(found) >= n_clusters:
            break
        if memory:
            memory.grow(found)
        step = DrawCandidates(Centroids(found), n_draws if i else 1, derive_seed(seed, i), memory)
        drawn = source.reduce(step)["draw_rows"]
        if len(drawn) == 0:
            break
        found = np.vstack([found, distinct(drawn)])
    if len(found) < n_clusters:
        raise TooFewDistinct(
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
    chosen : (n_clusters,) indices, in the order picked
    """
    n_trials = 2 + int(math.log(n_clusters))
    draws = uniform(seed, np.arange(n_clusters * n_trials)).reshape(n_clusters, n_trials)
    # a weight of 0 means that every point lies nearer to another candidate
    weight = np.maximum(weights, 1).astype(np.float64)
    distances = _Distances(candidates, float(weight.sum()))
    first = int(np.searchsorted(np.cumsum(weight), draws[0, 0] * weight.sum(), side="right"))
    chosen = [first]
    nearest = distances.to([first])[0]
    for i in range(1, n_clusters):
        cumulative = np.cumsum(nearest * weight)
        while cumulative[-1] < _FINE_ENOUGH and distances.refine(nearest):
            nearest = distances.to(chosen).min(axis=0)
            cumulative = np.cumsum(nearest * weight)
        trials = np.searchsorted(cumulative, draws[i] * cumulative[-1], side="right")
        closer = np.minimum(distances.to(trials), nearest)  # (n_trials, m)
        best = int((closer @ weight).argmin())
        chosen.append(int(trials[best]))
        nearest = closer[best]
    return np.array(chosen)


class _Distances:
    """Squared distances between candidates, in steps so coarse that weighted sums are exact.

    A sum over all candidates of weight * steps stays below 2^53, so no order of summation matters.
    Distances that all round to 0 steps can be refined while the total weight is below 2^51, so a
    draw always has a candidate to pick.
    """

    def __init__(self, candidates: NDArray[np.float32], total_weight: float) -> None:
        self._X = candidates.astype(np.float64)
        self._sq_norms = np.einsum("ij,ij->i", self._X, self._X)  # integers below 2^53: exact
        self._total_weight = total_weight
        self._scale = 0.0  # steps per squared unit
        self._set_steps(4 * float(self._sq_norms.max()))

    def _set_steps(self, largest: float) -> bool:
        """Choose steps for distances up to this, unless they would be no finer."""
        _, exponent = math.frexp(largest * self._total_weight)
        scale = min(1.0, math.ldexp(1.0, 52 - exponent))  # whole units are exact already
        if scale <= self._scale:
            return False
        self._scale, self._largest = scale, largest
        self._everything: NDArray[np.float64] | None = None
        if len(self._X) <= GRAM_CANDIDATES:
            self._everything = self._in_steps(self._X @ self._X.T, self._sq_norms)
        return True

    def refine(self, nearest: NDArray[np.float64]) -> bool:
        """Take finer steps, enough for distances no larger than these, (m,) in old steps.

        False if there are none: the largest distance already takes all the room in a sum.
        """
        return self._set_steps((float(nearest.max()) + 1) / self._scale)

    def to(self, rows: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the steps from some candidates to all : (t,) -> (t, m) float64, whole numbers."""
        if self._everything is None:
            return self._compute(np.asarray(rows))
        return self._everything[rows]

    def _compute(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        return self._in_steps(self._X[rows] @ self._X.T, self._sq_norms[rows])

    def _in_steps(
        self, products: NDArray[np.float64], sq_norms: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Turn inner products into distances, in place : (t, m), (t,) -> (t, m)."""
        products *= -2
        products += self._sq_norms
        products += sq_norms[:, None]
        np.minimum(products, self._largest, out=products)
        products *= self._scale
        return np.floor(products, out=products)
