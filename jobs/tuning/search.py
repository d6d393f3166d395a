"""Successive halving over trees: small hash samples weed out families, the whole one decides.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization" (2016). Every rung doubles the points and keeps the better half of the families.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.lake.config import ClusterConfig
from jobs.tuning.families import Family, families
from jobs.tuning.trials import NOISE, Judge, SampledTree, Trial, simplest
from udfs.kernels.coverage import cluster_independently
from udfs.kernels.hashing import derive_seed

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of share.leaves; a single level has none
COARSE_SHARES = (0.0, 0.5, 1.0)  # tried first
FRACTIONS = (0.25, 0.5, 1.0)  # of the points, rung by rung
MIN_POINTS = 2000  # of a rung; smaller samples start at a later one
MAX_JUDGED = 10_000  # points of a rung that samples are judged by
N_CLUSTERINGS = 3  # that judge the last rung; one judges the others
TOLERANCE = 1e-3  # of the search's fits: trees score within .01 of those at 1e-4, for half the time
N_FINALISTS = 3  # trees, judged at every share and target size
TOO_DEEP = 1.1  # of the best score so far: levels above a tree that much worse are not tried

Tell = Callable[[float, float, str], None]  # done, total, what


@dataclass(frozen=True)
class Problem:
    """What to choose for.

    Attributes
    ----------
    points : (n_sampled, n_features) float32, grid coordinates: a hash sample of the pool, in order
    n_points : of the whole pool
    targets : sizes of the samples wanted, of the whole pool
    cluster : its levels are empty where they are to be found
    """

    points: NDArray[np.float32]
    n_points: int
    targets: Sequence[int]
    cluster: ClusterConfig
    seed: int
    n_threads: int


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes
    ----------
    cluster : settled, for the whole pool
    leaves : share.leaves
    chosen : the trial that it rests on
    trials : of the last rung at every target size, the best first
    n_tried : trees and shares that were judged
    """

    cluster: ClusterConfig
    leaves: float
    chosen: Trial
    trials: list[Trial]
    n_tried: int


class Rung:
    """A part of the hash sample, to grow trees on and to judge by."""

    def __init__(self, problem: Problem, fraction: float, n_clusterings: int) -> None:
        self.problem, self.n_clusterings = problem, n_clusterings
        self.points = problem.points[: max(1, round(fraction * len(problem.points)))]
        self.n_distinct = len(np.unique(self.points, axis=0))
        seeds = [derive_seed(problem.seed, 1 + i) for i in range(n_clusterings)]
        judged = self.points[:MAX_JUDGED]
        nodes = [cluster_independently(judged, seed=s, n_threads=problem.n_threads) for s in seeds]
        self.judge = Judge(nodes, self.points, problem.n_threads)
        # samples take the same part of the points as they will of the pool
        scale = len(self.points) / problem.n_points
        self.targets = sorted({max(1, round(scale * target)) for target in problem.targets})

    def grow(self, config: ClusterConfig) -> SampledTree:
        """Grow a tree over the rung's points."""
        quick = config.model_copy(update={"tol": max(config.tol, TOLERANCE), "split": "off"})
        seed, n_threads = self.problem.seed, self.problem.n_threads
        return SampledTree(self.points, quick, seed=seed, n_threads=n_threads)

    def judged(self, tree: SampledTree, depth: int, leaves: float, sizes: Sequence[int]) -> Trial:
        """Judge one tree and share by the mean over some target sizes."""
        measured = [self.judge.relative(tree.draw(depth, size, leaves)) for size in sizes]
        return Trial(tree, depth, leaves, np.mean(measured, axis=0), self.n_clusterings)

    def trials(self, tree: SampledTree, *, depth: int = 1) -> list[Trial]:
        """Judge the trees of this depth and more at a few shares, at the middle target size."""
        middle = [self.targets[len(self.targets) // 2]]
        found: list[Trial] = []
        while depth <= len(tree.levels):
            shares = COARSE_SHARES if depth > 1 else COARSE_SHARES[:1]
            here = [self.judged(tree, depth, leaves, middle) for leaves in shares]
            found += here
            equal = here[:2]  # leaf by leaf, all trees are alike
            if min(t.score for t in equal) > TOO_DEEP * min(t.score for t in found):
                break
            depth += 1
        return found

    def finals(self, trials: Sequence[Trial]) -> list[Trial]:
        """Judge the best trees at every share and target size, the best first."""
        best = sorted(trials, key=lambda t: t.score)
        trees = list(dict.fromkeys((t.tree, t.depth) for t in best))[:N_FINALISTS]
        found = [
            self.judged(tree, depth, leaves, self.targets)
            for tree, depth in trees
            for leaves in (SHARES if depth > 1 else SHARES[:1])
        ]
        return sorted(found, key=lambda t: t.score)


def search(problem: Problem, tell: Tell = lambda done, total, what: None) -> Choice:
    """Find levels and share, or the share alone where levels are given."""
    if problem.cluster.levels:
        return _share_for(problem, tell)
    alive = families(problem.cluster)
    fractions = [f for f in FRACTIONS if f == 1 or f * len(problem.points) >= MIN_POINTS]
    n_tried = 0
    total, done = sum(len(alive) / 2**i for i in range(len(fractions))), 0.0
    for fraction in fractions:
        rung = Rung(problem, fraction, N_CLUSTERINGS if fraction == 1 else 1)
        entries: list[tuple[Family, SampledTree, list[Trial]]] = []
        for family in alive:
            tree = rung.grow(family.config(problem.cluster, family.ladder(rung.n_distinct)))
            entries.append((family, tree, rung.trials(tree)))
            n_tried += len(entries[-1][2])
            done += 1
            tell(done, total, f"points={len(rung.points)} levels={_shown(tree)}")
        entries.sort(key=lambda entry: _handicapped(entry[0], entry[2]))
        alive = [family for family, _, _ in entries[: -(-len(entries) // 2)]]
    finals = rung.finals([t for _, _, trials in entries for t in trials])
    chosen = simplest(finals)
    (family,) = (family for family, tree, _ in entries if tree is chosen.tree)
    n_distinct = problem.n_points * rung.n_distinct // len(rung.points)
    levels = family.levels(n_distinct, chosen.levels[-1])
    config = family.config(problem.cluster, levels)
    return Choice(config, chosen.leaves, chosen, finals, n_tried)


def _handicapped(family: Family, trials: Sequence[Trial]) -> float:
    """Give a family's best score; without resampling it has to be better by more than noise."""
    return min(t.score for t in trials) * (1 if family.rounds else 1 + 2 * NOISE)


def _share_for(problem: Problem, tell: Tell) -> Choice:
    """Find the share that fits given levels: level 1 shrinks with the sample, the others stay."""
    rung = Rung(problem, 1.0, N_CLUSTERINGS)
    leaves = problem.cluster.levels[0] * len(rung.points) // problem.n_points
    sizes = [max(1, min(leaves, rung.n_distinct))]
    for k in problem.cluster.levels[1:]:
        if sizes[-1] > 1:
            sizes.append(min(k, sizes[-1] - 1))
    rounds = [problem.cluster.rounds_at(t) for t in range(1, len(sizes) + 1)]
    resampling = problem.cluster.resampling.model_copy(update={"rounds": rounds, "points": "auto"})
    config = problem.cluster.model_copy(update={"levels": sizes, "resampling": resampling})
    tell(0, 1, f"points={len(rung.points)} levels={'/'.join(map(str, sizes))}")
    tree = rung.grow(config)
    finals = rung.finals(rung.trials(tree, depth=len(sizes)))
    chosen = simplest(finals)
    return Choice(problem.cluster, chosen.leaves, chosen, finals, len(finals))


def _shown(tree: SampledTree) -> str:
    return "/".join(str(len(level.centroids)) for level in tree.levels)
