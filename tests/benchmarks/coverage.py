"""Compare trees by coverage: tuned, given as in the paper, flat, and the best of a full grid.

Everything runs in memory with the jobs' own code. Judges are clusterings with seeds that tuning
never sees. The grid is searched on the first seed; the other seeds try what was best there.

Run: python -m tests.benchmarks.coverage [--pools NAME ...] [--seeds N] [--out DIR]
"""

import argparse
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.judging.judge import Judge
from jobs.judging.views import Views
from jobs.sections.cluster import ClusterConfig
from jobs.sections.share import Powers
from jobs.tuning.families import n_leaves, n_sampled
from jobs.tuning.search import Problem, search
from jobs.tuning.shares import SHARES, shares_at
from jobs.tuning.trials import SampledTree
from tests.benchmarks.coverage_table import as_markdown
from tests.benchmarks.judged_pools import POOLS
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.judging.coverage import cluster_independently
from udfs.kernels.judging.measures import effective_number, kl_to_uniform
from udfs.kernels.passes.sources import blocks_of
from udfs.kernels.passes.steps.members import LabelPoints

log = logging.getLogger(__name__)

N_THREADS = 2
N_JUDGES = 3
JUDGED = 10_000  # points
JUDGES_SEED = 1_000_000  # far from every seed of a run
RATIOS = (2, 3, 5, 10, 20)
MAX_DEPTH = 4
ROUNDS = (3, 0)
MIN_TOP = 5  # nodes
N_REPEATED = 4  # of the grid's best, by coverage and by KL each, on the other seeds
PAPER_STEPS = ((4,), (8, 5), (10, 10), (20, 10, 5))  # nodes of a level to one above


@dataclass(frozen=True)
class Grown:
    """A tree's settings, without the share."""

    levels: tuple[int, ...]
    rounds: int

    def config(self) -> ClusterConfig:
        """Return the config that a user would write."""
        return ClusterConfig.model_validate(
            {"levels": [*self.levels], "resampling": {"rounds": self.rounds}}
        )


@dataclass(frozen=True)
class Measured:
    """What one sample recipe gave on one pool and seed, a figure per target size.

    Attributes
    ----------
    coverage : coverage distance over the uniform draw's
    kl : of the planted concepts to uniform; NaN if there are none
    """

    pool: str
    seed: int
    method: str
    levels: tuple[int, ...]
    rounds: int
    share: Powers
    coverage: list[float]
    effective: list[float]
    kl: list[float]


class Court:
    """One pool and its judges."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed, self.targets = name, seed, POOLS[name].targets
        X, self.concepts = POOLS[name].make(seed)
        self.points = to_grid(X, grid_unit(float(np.linalg.norm(X, axis=1).max())))
        order = np.argsort(hash_keys(JUDGES_SEED + seed, np.arange(len(X))))
        judged = self.points[order[:JUDGED]]
        seeds = [JUDGES_SEED + 10 * seed + i for i in range(N_JUDGES)]
        nodes = [cluster_independently(judged, seed=s, n_threads=N_THREADS) for s in seeds]
        self.judge = Judge(judged, Views([n.labels for n in nodes], None), self.points, N_THREADS)
        self._on_leaves: dict[tuple[int, int], SampledTree] = {}
        source = blocks_of(self.points, N_THREADS)
        self.labels = [source.reduce(LabelPoints(n.centroids))["labels"] for n in nodes]
        self.n_nodes = [n.n_nodes for n in nodes]

    def grow(self, config: ClusterConfig) -> SampledTree:
        """Grow a tree over the whole pool; trees with the same level 1 share it."""
        level_1 = (config.levels[0], config.rounds_at(1))
        on, seed = self._on_leaves.get(level_1), self.seed
        tree = SampledTree(self.points, config, seed=seed, n_threads=N_THREADS, on=on)
        self._on_leaves.setdefault(level_1, tree)
        return tree

    def draws(self, tree: SampledTree, depth: int, share: Powers) -> list[NDArray[np.int64]]:
        """Draw a sample per target size."""
        return [tree.draw(depth, target, share) for target in self.targets]

    def uniform(self) -> list[NDArray[np.int64]]:
        """Draw uniformly, once per target size."""
        order = np.argsort(hash_keys(derive_seed(self.seed, 9), np.arange(len(self.points))))
        return [order[:target] for target in self.targets]

    def measure(
        self, method: str, how: Grown, share: Powers, draws: Sequence[NDArray[np.int64]]
    ) -> Measured:
        """Judge a recipe's samples."""
        coverage = [float(np.mean(self.judge.measure(drawn).nodes)) for drawn in draws]
        effective = [
            float(
                np.mean(
                    [
                        effective_number(np.bincount(labels[drawn], minlength=n))
                        for labels, n in zip(self.labels, self.n_nodes, strict=True)
                    ]
                )
            )
            for drawn in draws
        ]
        kl = [self._kl(self.concepts[drawn]) for drawn in draws]
        found = Measured(
            self.name, self.seed, method, how.levels, how.rounds, share, coverage, effective, kl
        )
        log.info(
            "pool=%s seed=%d method=%s levels=%s rounds=%d share=%s coverage=%.3f kl=%.3f",
            self.name, self.seed, method, "/".join(map(str, how.levels)), how.rounds, share,
            np.mean(coverage), np.mean(kl),
        )  # fmt: skip
        return found

    def _kl(self, concepts: NDArray[np.int64]) -> float:
        n_concepts = int(self.concepts.max()) + 1
        if n_concepts == 0:
            return float("nan")
        return kl_to_uniform(np.bincount(concepts[concepts >= 0], minlength=n_concepts))


def controls(court: Court) -> Iterator[Measured]:
    """Judge a uniform draw, flat k-means, and given levels with equal shares."""
    yield court.measure("uniform", Grown((), 0), Powers(), court.uniform())
    k = n_leaves(len(court.points))
    flat = Grown((k,), 10)
    yield court.measure("flat", flat, Powers(), court.draws(court.grow(flat.config()), 1, Powers()))
    for i, steps in enumerate(PAPER_STEPS, start=1):
        levels = tuple(int(k / np.prod(steps[:t])) for t in range(len(steps) + 1))
        given = Grown(tuple(dict.fromkeys(max(1, n) for n in levels)), 10)
        tree = court.grow(given.config())
        yield court.measure(
            f"paper {i}", given, Powers(), court.draws(tree, len(given.levels), Powers())
        )


def tuned(court: Court) -> Iterator[Measured]:
    """Judge what tuning chooses, tree and share, from its own hash sample."""
    n_points, n_features = court.points.shape
    order = np.argsort(hash_keys(derive_seed(court.seed, 3), np.arange(n_points)))
    sampled = court.points[order[: n_sampled(n_points, n_features)]]
    config, seed = ClusterConfig(), derive_seed(court.seed, 2)
    began = time.perf_counter()
    choice = search(Problem(sampled, n_points, court.targets, config, seed, N_THREADS))
    log.info("pool=%s tuned in %.1f s", court.name, time.perf_counter() - began)
    tree = court.grow(choice.cluster)
    how = Grown(tuple(choice.cluster.levels), choice.cluster.rounds_at(1))
    draws = court.draws(tree, len(how.levels), choice.share)
    yield court.measure("auto", how, choice.share, draws)


def grid(court: Court) -> Iterator[Measured]:
    """Judge every tree of the grid at every share."""
    k = n_leaves(len(court.points))
    for rounds in ROUNDS:
        for ratio in RATIOS:
            sizes = [round(k / ratio**t) for t in range(MAX_DEPTH)]
            levels = tuple(n for n in sizes if n >= MIN_TOP)
            tree = court.grow(Grown(levels, rounds).config())
            for depth in range(1 if ratio == RATIOS[0] else 2, len(levels) + 1):
                for share in shares_at(depth, SHARES):
                    how = Grown(levels[:depth], rounds)
                    draws = court.draws(tree, depth, share)
                    yield court.measure("grid", how, share, draws)


def best_of(measured: Sequence[Measured]) -> list[tuple[Grown, Powers]]:
    """Return the recipes of the grid that are best by coverage, then those that are best by KL."""
    found: dict[tuple[Grown, Powers], None] = {}
    for figure in ("coverage", "kl"):
        ranked = sorted(measured, key=lambda m: float(np.mean(getattr(m, figure))))
        for m in ranked[:N_REPEATED]:
            found[Grown(m.levels, m.rounds), m.share] = None
    return list(found)


def judge_pool(name: str, n_seeds: int) -> Iterator[Measured]:
    """Judge every method on a pool and all seeds."""
    candidates: list[tuple[Grown, Powers]] = []
    for seed in range(n_seeds):
        court = Court(name, seed)
        yield from tuned(court)
        yield from controls(court)
        if seed == 0:
            measured = [*grid(court)]
            yield from measured
            candidates = best_of(measured)
            continue
        for how, share in candidates:
            tree = court.grow(how.config())
            yield court.measure("grid", how, share, court.draws(tree, len(how.levels), share))


def main(argv: Sequence[str] | None = None) -> None:
    """Judge the pools; write coverage.json and coverage.md, updated after every pool."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--pools", nargs="+", default=list(POOLS), choices=POOLS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("data/benchmarks"))
    asked = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "coverage.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    for name in asked.pools:
        with threadpool_limits(1):
            known[name] = [asdict(m) for m in judge_pool(name, asked.seeds)]
        path.write_text(json.dumps(known))
        (asked.out / "coverage.md").write_text(as_markdown(known))
    print((asked.out / "coverage.md").read_text())


if __name__ == "__main__":
    main()
