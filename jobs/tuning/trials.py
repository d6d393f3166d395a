"""Trials: trees grown on a hash sample, samples drawn from them, and how well they cover it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.clustering.level import Level
from jobs.clustering.tree import grow_tree
from jobs.judging.judge import Judged
from jobs.sections.cluster import ClusterConfig
from jobs.sections.share import Powers
from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.judging.measures import exact_mean
from udfs.kernels.passes.sources import LocalBlocks, blocks_of
from udfs.kernels.passes.steps.members import LabelPoints
from udfs.kernels.sampling.allocation import Sharing, TreeLevel, quotas_down

NOISE = 0.01  # in the score: how much trees with different seeds differ
AS_EVEN = 0.05  # nats of KL over communities


class SampledTree:
    """A tree over points in memory, and each point's leaf; every prefix of its levels is a tree."""

    def __init__(
        self,
        points: NDArray[np.float32],
        config: ClusterConfig,
        *,
        seed: int,
        n_threads: int,
        on: "SampledTree | None" = None,
    ) -> None:
        """Grow it, on the leaves of another tree with the same points, seed and level 1, if any."""
        source = blocks_of(points, n_threads)
        self.levels: list[Level] = grow_tree(
            source,
            config,
            seed=seed,
            n_threads=n_threads,
            on_iteration=lambda *what: None,
            known=on.levels[:1] if on else (),
        )
        self.seed, self.rounds = seed, config.rounds_at(1)
        self.leaf: NDArray[np.int64] = on.leaf if on else _leaf_of(source, self.levels[0])
        self.rank: NDArray[np.int64] = on.rank if on else _ranks_within(self.leaf, seed)

    def draw(
        self, depth: int, target_size: int, share: Powers, *, replicas: int = 1
    ) -> NDArray[np.int64]:
        """Draw from the tree of the first ``depth`` levels, at random from each leaf.

        Returns
        -------
        positions : (min(target_size, n),); of different points, so fewer if there are replicas
        """
        tree = [
            TreeLevel(np.maximum(level.parents, 0) * (t < depth), level.n_leaves, level.n_points)
            for t, level in enumerate(self.levels[:depth], start=1)
        ]
        quotas = quotas_down(tree, target_size, Sharing(self.seed, *share, replicas=replicas))
        return np.flatnonzero(self.rank < quotas[0][self.leaf])


def _leaf_of(source: LocalBlocks, level: Level) -> NDArray[np.int64]:
    """Find every point's leaf : (n_points,)."""
    found = source.reduce(LabelPoints(Centroids(level.centroids), level.routing))
    return found["labels"].astype(np.int64)


def _ranks_within(leaf: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rank the points of every leaf at random : (n_points,) from 0."""
    order = np.lexsort((hash_keys(derive_seed(seed, 2), np.arange(len(leaf))), leaf))
    counts = np.bincount(leaf)
    ranks = np.empty(len(leaf), np.int64)
    ranks[order] = np.arange(len(leaf)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


Replicates = tuple[SampledTree, ...]  # trees of the same kind, over the same points


@dataclass(frozen=True)
class Trial:
    """One kind of tree and share, judged.

    Attributes
    ----------
    trees : they differ only in their seeds; their first ``depth`` levels are used
    relative : (n_trees, n nodes) coverage distances over the uniform control's mean
    communities : the mean of these over communities; None if there are none
    kl : over communities, the mean
    n_clusterings : clusterings that the nodes come from, all over the same points
    unseen : share of the pool that those points leave out
    """

    trees: Replicates
    depth: int
    share: Powers
    relative: NDArray[np.float64]
    communities: float | None
    kl: float
    n_clusterings: int
    unseen: float = 1.0

    @property
    def levels(self) -> list[int]:
        """Nodes per level, leaves first."""
        return [len(level.centroids) for level in self.trees[0].levels[: self.depth]]

    @property
    def rounds(self) -> int:
        """Rounds of resampling at level 1."""
        return self.trees[0].rounds

    @property
    def of_nodes(self) -> float:
        """Coverage distance over the uniform control's, over nodes; lower is better."""
        return exact_mean(self.relative.ravel())

    @property
    def score(self) -> float:
        """The geometric mean of coverage over nodes and over communities, if there are any."""
        if self.communities is None:
            return self.of_nodes
        return math.sqrt(self.of_nodes * self.communities)

    def error_of_lead(self, best: "Trial") -> float:
        """Return the standard error of the difference from ``best``, over nodes and over trees.

        The clusterings use the same points, so together they count as one; if those are the whole
        pool, nodes add no error (the finite population correction).
        """
        leads = self.relative - best.relative
        n_trees, n_nodes = leads.shape
        of_nodes = self.unseen * _variance(leads.mean(axis=0)) * self.n_clusterings / n_nodes
        of_trees = _variance(np.array([exact_mean(each) for each in leads])) / n_trees
        return math.sqrt(of_nodes + of_trees)


def trial_of(
    trees: Replicates,
    depth: int,
    share: Powers,
    found: Sequence[Sequence[Judged]],
    *,
    n_clusterings: int,
    unseen: float,
) -> Trial:
    """Average what was found : for every tree, its samples of all target sizes."""
    samples = [judged for of_tree in found for judged in of_tree]
    relative = np.stack([np.mean([s.nodes for s in of_tree], axis=0) for of_tree in found])
    of_communities = [exact_mean(s.communities) for s in samples if s.communities is not None]
    communities = exact_mean(np.array(of_communities)) if of_communities else None
    kl = exact_mean(np.array([s.kl for s in samples]))
    return Trial(trees, depth, share, relative, communities, kl, n_clusterings, unseen)


def _variance(values: NDArray[np.float64]) -> float:
    return exact_mean((values - exact_mean(values)) ** 2)


def as_good_as_best(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that are as good as the best in either view, and as even.

    "As good" means within one standard error, or within NOISE, the spread due to a tree's seed; "as
    even" means like the most even of these, over communities.
    """
    best = min(trials, key=lambda t: t.score)
    good = [t for t in trials if _is_as_good(t, best)]
    most_even = min(t.kl for t in good)
    return [t for t in good if t.kl <= most_even + max(AS_EVEN, most_even / 10)]


def _is_as_good(trial: Trial, best: Trial) -> bool:
    allowed = max(trial.error_of_lead(best), NOISE * best.of_nodes)
    if trial.of_nodes - best.of_nodes > allowed:
        return False
    if trial.communities is None or best.communities is None:
        return True
    return trial.communities <= best.communities * (1 + NOISE)


def chosen_of(trials: Sequence[Trial]) -> Trial:
    """Return the trial to take among those that are as good as the best.

    Without communities, coverage hardly tells these apart. With them, the smallest share of points
    among those within the noise wins, and of the same share, trials within a tenth of the noise
    count as the same. Among these the one wins that trusts the tree most: the share nearest the
    paper's equal one, the smallest top, the fewest levels.
    """
    good = as_good_as_best(trials)
    if any(t.communities is not None for t in good):
        points = min(t.share.points for t in _within(NOISE, good))
        good = _within(NOISE / 10, [t for t in good if t.share.points == points])
    return min(good, key=lambda t: (t.share.leaves, t.levels[-1], t.depth))


def _within(noise: float, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials whose score is within noise of the best one."""
    best = min(t.score for t in trials)
    return [t for t in trials if t.score <= best * (1 + noise)]
