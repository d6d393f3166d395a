"""Successive halving over trees: small hash samples weed out families, the whole one decides.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization" (2016). Each rung takes more points and keeps the better half of the families.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.judging.judge import Judge
from jobs.judging.views import views_of
from jobs.sections.cluster import ClusterConfig
from jobs.sections.share import Powers
from jobs.tuning.families import RATIOS, Family, families
from jobs.tuning.shares import COARSE_SHARES, SHARES, shares_at, split
from jobs.tuning.trials import (
    NOISE,
    Replicates,
    SampledTree,
    Trial,
    as_good_as_best,
    chosen_of,
    trial_of,
)
from udfs.kernels.exact.hashing import derive_seed

FRACTIONS = (0.25, 1.0)  # of the points, rung by rung
MIN_POINTS = 2000  # least points of a rung; smaller samples start at a later one
MAX_JUDGED = 10_000  # points of a rung that judge samples
N_CLUSTERINGS = 3  # clusterings that judge the last rung; one judges the others
TOLERANCE = 1e-3  # for the search's fits: scores within .01 of those at 1e-4, in half the time
MAX_TREES = 8  # trees of one kind: the fewer the points, the more a tree depends on its seed,
POINTS_OF_TREES = 10_000  # and the cheaper another tree is
N_FINALISTS = 6  # kinds of trees judged at every share and target size
TOO_DEEP = 1.1  # times the best score so far: trees worse than this get no further level

Tell = Callable[[float, float, str], None]  # done, total, what


@dataclass(frozen=True)
class Problem:
    """The pool and the samples to find a tree for.

    Attributes
    ----------
    points : (n_sampled, n_features) float32, grid coordinates: a hash sample of the pool, in order
    n_points : number of points in the whole pool
    targets : sizes of the samples wanted from the whole pool
    cluster : the config's section; its levels are empty if they are to be found
    shares : to choose from
    """

    points: NDArray[np.float32]
    n_points: int
    targets: Sequence[int]
    cluster: ClusterConfig
    seed: int
    n_threads: int
    shares: Sequence[Powers] = SHARES


@dataclass(frozen=True)
class Choice:
    """The tree that was chosen.

    Attributes
    ----------
    cluster : resolved, for the whole pool
    chosen : the trial behind the choice
    trials : trials of the last rung at every target size, best first
    n_tried : number of trees and shares judged
    """

    cluster: ClusterConfig
    chosen: Trial
    trials: list[Trial]
    n_tried: int

    @property
    def share(self) -> Powers:
        """The share that was chosen."""
        return self.chosen.share


class Rung:
    """A part of the hash sample, to grow trees on and judge them by."""

    def __init__(self, problem: Problem, fraction: float = 1.0) -> None:
        self.problem = problem
        self.points = problem.points[: max(1, round(fraction * len(problem.points)))]
        n_clusterings, self.n_trees = 1, 1
        if fraction == 1:  # the last rung, which decides
            n_clusterings = N_CLUSTERINGS
            self.n_trees = max(1, min(MAX_TREES, POINTS_OF_TREES // len(self.points)))
        self.n_seen = np.unique(self.points, axis=0, return_counts=True)[1]
        self.n_distinct = len(self.n_seen)
        judged = self.points[:MAX_JUDGED]
        seeds = [derive_seed(problem.seed, 1 + i) for i in range(n_clusterings)]
        views = views_of(judged, seeds, n_threads=problem.n_threads)
        self.judge = Judge(judged, views, self.points, problem.n_threads)
        # samples take the same fraction of the points as they would of the pool
        scale = len(self.points) / problem.n_points
        self._on_leaves: dict[int, Replicates] = {}  # by number of resampling rounds
        self.targets = sorted({max(1, round(scale * target)) for target in problem.targets})

    def grow(self, config: ClusterConfig) -> Replicates:
        """Grow trees over the rung's points, each with its own seed; families share level 1."""
        quick = config.model_copy(update={"tol": max(config.tol, TOLERANCE), "split": "off"})
        on = self._on_leaves.get(config.rounds_at(1), (None,) * self.n_trees)
        trees = tuple(
            SampledTree(
                self.points,
                quick,
                seed=derive_seed(self.problem.seed, 0, i),
                n_threads=self.problem.n_threads,
                on=tree,
            )
            for i, tree in enumerate(on)
        )
        self._on_leaves.setdefault(config.rounds_at(1), trees)
        return trees

    def judged(self, trees: Replicates, depth: int, share: Powers, sizes: Sequence[int]) -> Trial:
        """Judge one kind of tree and share, by the mean over some target sizes."""
        found = [[self.judge.measure(tree.draw(depth, n, share)) for n in sizes] for tree in trees]
        return trial_of(
            trees,
            depth,
            share,
            found,
            n_clusterings=len(self.judge.views.nodes),
            unseen=1 - len(self.judge.judged) / self.problem.n_points,
        )

    def trials(self, trees: Replicates, shares: Sequence[Powers]) -> list[Trial]:
        """Judge trees of every depth at a few shares and the middle target size."""
        middle = [self.targets[len(self.targets) // 2]]
        found: list[Trial] = []
        for depth in range(1, 1 + min(len(tree.levels) for tree in trees)):
            mine = shares_at(depth, shares)
            mine = [share for share in mine if share in COARSE_SHARES] or mine[:1]
            here = [self.judged(trees, depth, share, middle) for share in mine]
            found += here
            if min(t.score for t in here) > TOO_DEEP * min(t.score for t in found):
                break
        return found

    def finals(self, trials: Sequence[Trial], shares: Sequence[Powers]) -> list[Trial]:
        """Judge the best kinds of trees at more shares and every target size; best first."""
        good = sorted(as_good_as_best(trials), key=lambda t: t.score)
        best = [*good, *sorted(trials, key=lambda t: t.score)]
        kinds = list(dict.fromkeys((t.trees, t.depth) for t in best))[:N_FINALISTS]
        found = [
            self.judged(trees, depth, share, self.targets)
            for trees, depth in kinds
            for share in shares_at(depth, shares)
        ]
        return sorted(found, key=lambda t: t.score)


class Entry(NamedTuple):
    """A family in a rung."""

    family: Family
    trees: Replicates
    trials: list[Trial]

    def handicapped(self) -> float:
        """Return the family's best score; all but the first must win by more than noise."""
        is_first = self.family.rounds > 0 and self.family.ratio == RATIOS[0]
        return min(t.score for t in self.trials) * (1 if is_first else 1 + 2 * NOISE)


def _trials_of(entries: Sequence[Entry]) -> list[Trial]:
    return [trial for entry in entries for trial in entry.trials]


def search(problem: Problem, tell: Tell = lambda done, total, what: None) -> Choice:
    """Find levels and share, or only the share if levels are given."""
    if problem.cluster.levels:
        return _share_for(problem, tell)
    alive = families(problem.cluster)
    fractions = [f for f in FRACTIONS if f == 1 or f * len(problem.points) >= MIN_POINTS]
    plain, between = split(problem.shares)
    n_tried = 0
    total, done = sum(len(alive) / 2**i for i in range(len(fractions))), 0.0
    for fraction in fractions:
        rung = Rung(problem, fraction)
        entries: list[Entry] = []
        for family in alive:
            trees = rung.grow(family.config(problem.cluster, family.ladder(rung.n_distinct)))
            entries.append(Entry(family, trees, rung.trials(trees, plain)))
            done += 1
            tell(done, total, f"points={len(rung.points)} levels={_shown(trees)}")
        shares = plain
        if between and not _are_trusted(_trials_of(entries)):
            shares = [*plain, *between]
            for entry in entries:
                entry.trials.extend(rung.trials(entry.trees, between))
        n_tried += len(_trials_of(entries))
        entries.sort(key=Entry.handicapped)
        alive = [entry.family for entry in entries[: -(-len(entries) // 2)]]
    finals = rung.finals(_trials_of(entries), shares)
    chosen = chosen_of(finals)
    (family,) = (entry.family for entry in entries if entry.trees is chosen.trees)
    levels = family.levels(distinct_of(problem.n_points, rung.n_seen), chosen.levels[-1])
    config = family.config(problem.cluster, levels)
    return Choice(config, chosen, finals, n_tried)


def distinct_of(n_points: int, n_seen: NDArray[np.int64]) -> int:
    """Estimate the number of distinct points of a pool from a sample of it.

    The lesser of the sample's share of distinct ones, and Chao1 (Chao, 1984), which sees that the
    pool has few more than the sample: few of the sample's were seen just once.

    Parameters
    ----------
    n_seen : (n_distinct,) how often each distinct point is in the sample
    """
    if (n_seen == 1).all():
        return n_points
    once, twice = int((n_seen == 1).sum()), int((n_seen == 2).sum())
    chao = len(n_seen) + once * (once - 1) // (2 * (twice + 1))
    return min(n_points * len(n_seen) // int(n_seen.sum()), chao)


def _are_trusted(trials: Sequence[Trial]) -> bool:
    """Return whether equal shares of the best tree cover communities better than a uniform sample.

    If they do not, its nodes may not be the concepts, and shares between the two are tried too.
    """
    best = min(trials, key=lambda t: t.score)
    return best.communities is None or best.communities < 1 - NOISE


def _share_for(problem: Problem, tell: Tell) -> Choice:
    """Find the best share for given levels: level 1 shrinks with the sample, the others stay."""
    rung = Rung(problem)
    n_leaves = problem.cluster.levels[0] * len(rung.points) // problem.n_points
    sizes = [max(1, min(n_leaves, rung.n_distinct))]
    for k in problem.cluster.levels[1:]:
        if sizes[-1] > 1:
            sizes.append(min(k, sizes[-1] - 1))
    rounds = [problem.cluster.rounds_at(t) for t in range(1, len(sizes) + 1)]
    resampling = problem.cluster.resampling.model_copy(update={"rounds": rounds, "points": "auto"})
    config = problem.cluster.model_copy(update={"levels": sizes, "resampling": resampling})
    tell(0, 1, f"points={len(rung.points)} levels={'/'.join(map(str, sizes))}")
    trees = rung.grow(config)
    plain, between = split(problem.shares)
    finals = [rung.judged(trees, len(sizes), share, rung.targets) for share in plain]
    if not _are_trusted(finals):
        finals += [rung.judged(trees, len(sizes), share, rung.targets) for share in between]
    finals.sort(key=lambda t: t.score)
    chosen = chosen_of(finals)
    return Choice(problem.cluster, chosen, finals, len(finals))


def _shown(trees: Replicates) -> str:
    return "/".join(str(len(level.centroids)) for level in trees[0].levels)
