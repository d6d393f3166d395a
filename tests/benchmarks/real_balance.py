"""What curation is worth on real pools with labels: probe, label balance, classes, coverage.

For each pool and size: uniform samples (5 seeds), the label-balanced sample, what tuning chooses,
what it would choose if it judged coverage of nodes alone, and the best of a grid of trees; for each
seed, the tree that is best on the other seeds. The probe is a multinomial logistic regression
(C=20) on the sample's vectors and labels; its figure is the mean recall over classes on a test set.
"closed" is the share of the gap between uniform and label-balanced.

A pool takes ten minutes to an hour. Extras: bench; test-models too for pools by MiniLM.

Run: python -m tests.benchmarks.real_balance --data FOLDER [--pools NAME ...] [--seeds N]
"""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from jobs.judging import views
from jobs.judging.judge import Judge
from jobs.sections.cluster import ClusterConfig
from jobs.sections.share import Powers
from jobs.tuning.families import n_leaves
from jobs.tuning.search import Problem, search
from jobs.tuning.shares import shares_at
from jobs.tuning.trials import SampledTree
from tests.benchmarks.labelled_pools import POOLS, LabelledPool
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.exact.hashing import derive_seed, hash_keys
from udfs.kernels.judging.coverage import cluster_independently
from udfs.kernels.judging.measures import kl_to_uniform

N_THREADS = 2
N_UNIFORM = 5
JUDGES_SEED = 1_000_000  # far from every seed of a run
TOPS = (10, 20, 30, 60, 120, 250, 500, 1000)
SHARES = (Powers(), Powers(0.25), Powers(0.5), Powers(0.75))
SHARES += (Powers(points=0.25), Powers(points=0.5), Powers(points=0.75))
Draw = NDArray[np.int64]


class Figures(NamedTuple):
    """What one sample is worth."""

    probe: float
    kl: float
    n_classes: float
    coverage: float


class Bench:
    """A pool, its judge and its samples."""

    def __init__(self, pool: LabelledPool) -> None:
        self.pool, self.n = pool, len(pool.X)
        self.points = to_grid(pool.X, grid_unit(1.0))
        judged = self.points[:10_000]
        nodes = cluster_independently(judged, seed=JUDGES_SEED, n_threads=N_THREADS)
        self.judge = Judge(judged, views.Views([nodes.labels], None), self.points, N_THREADS)

    def figures(self, drawn: Draw) -> Figures:
        """Judge a sample."""
        pool, y = self.pool, self.pool.y[drawn]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # iterations
            probe = LogisticRegression(C=20, tol=1e-3, max_iter=100).fit(pool.X[drawn], y)
        is_right = probe.predict(pool.X_test) == pool.y_test
        recalls = [is_right[pool.y_test == c].mean() for c in np.unique(pool.y_test)]
        kl = kl_to_uniform(np.bincount(y, minlength=pool.n_classes))
        coverage = float(self.judge.measure(drawn).nodes.mean())
        return Figures(float(np.mean(recalls)), kl, float(len(np.unique(y))), coverage)

    def uniform(self, seed: int, size: int) -> Draw:
        """Draw uniformly."""
        return self._order(seed)[:size]

    def balanced(self, seed: int, size: int) -> Draw:
        """Draw as evenly over the labels as they allow."""
        order = self._order(seed)
        y = self.pool.y[order]
        turn = np.empty(self.n, np.int64)  # a point's place among those of its label
        for c in range(self.pool.n_classes):
            turn[y == c] = np.arange((y == c).sum())
        return np.asarray(order[np.argsort(turn, kind="stable")][:size])

    def tuned(self, seed: int, size: int) -> tuple[str, Draw]:
        """Draw from the tree that tuning chooses for this size; name its own figures too."""
        problem = Problem(self.points, self.n, [size], ClusterConfig(), seed, N_THREADS)
        choice = search(problem)
        tree = SampledTree(self.points, choice.cluster, seed=seed, n_threads=N_THREADS)
        said = f"{choice.chosen.of_nodes:.2f}, {choice.chosen.communities or 1:.2f}"
        name = f"{'/'.join(map(str, choice.cluster.levels))} {choice.share} ({said})"
        return name, tree.draw(len(choice.cluster.levels), size, choice.share)

    def grid(self, seed: int) -> Iterator[tuple[str, SampledTree, int, Powers]]:
        """Yield every tree and share."""
        leaves, on = n_leaves(self.n), None
        for levels in _ladders(leaves):
            config = ClusterConfig.model_validate(
                {"levels": levels, "resampling": {"rounds": 3}, "split": "off", "tol": 1e-3}
            )
            tree = SampledTree(self.points, config, seed=seed, n_threads=N_THREADS, on=on)
            on = on or tree
            for share in shares_at(len(levels), SHARES):
                yield f"{'/'.join(map(str, levels))} {share}", tree, len(levels), share

    def _order(self, seed: int) -> Draw:
        return np.argsort(hash_keys(derive_seed(JUDGES_SEED, seed), np.arange(self.n)))


def _ladders(leaves: int) -> list[list[int]]:
    """Return one, two and three levels for each size of the top."""
    tops = [k for k in TOPS if 1.25 * k <= leaves]
    middles = [(round((leaves * k) ** 0.5), k) for k in tops]
    return [
        [leaves],
        *([leaves, k] for k in tops),
        *([leaves, m, k] for m, k in middles if m >= 2 * k),
    ]


def nodes_alone(points: NDArray[np.float32], **_: Any) -> NDArray[np.int64]:
    """Find no communities, so that nodes alone judge."""
    return np.zeros(len(points), np.int64)


def judged(name: str, folder: Path, n_seeds: int, *, with_grid: bool) -> Iterator[str]:
    """Yield the table's lines for one pool."""
    bench = Bench(POOLS[name](folder))
    trees = [tree for s in range(n_seeds) for tree in bench.grid(s)] if with_grid else []
    for size in bench.pool.sizes:
        uniform = [bench.figures(bench.uniform(s, size)) for s in range(N_UNIFORM)]
        balanced = [bench.figures(bench.balanced(s, size)) for s in range(n_seeds)]
        auto = [bench.tuned(s, size) for s in range(n_seeds)]
        with patch.object(views, "find_communities", nodes_alone):
            by_nodes = [bench.tuned(s, size) for s in range(n_seeds)]
        tried: dict[str, list[Figures]] = {}
        for how, tree, depth, share in trees:
            tried.setdefault(how, []).append(bench.figures(tree.draw(depth, size, share)))
        rows = {"uniform": uniform, "label-balanced": balanced}
        rows[f"auto: {auto[0][0]}"] = [bench.figures(drawn) for _, drawn in auto]
        rows[f"by nodes alone: {by_nodes[0][0]}"] = [bench.figures(drawn) for _, drawn in by_nodes]
        if tried:
            best = [_best_on_others(tried, s) for s in range(n_seeds)]
            rows[f"best of {len(tried)}: {best[0]}"] = [tried[b][s] for s, b in enumerate(best)]
        low, high = _mean(uniform).probe, _mean(balanced).probe
        for method, found in rows.items():
            mean, error = _mean(found), np.std([f.probe for f in found], ddof=1) / len(found) ** 0.5
            yield (
                f"| {name} | {size} | {method} | {mean.probe:.3f} ± {error:.3f} "
                f"| {(mean.probe - low) / (high - low):.0%} | {mean.kl:.2f} "
                f"| {mean.n_classes:.0f} | {mean.coverage:.3f} |"
            )


def _best_on_others(tried: dict[str, list[Figures]], seed: int) -> str:
    """Return the kind of tree with the best probe on all seeds but one."""
    return max(tried, key=lambda how: _mean(tried[how][:seed] + tried[how][seed + 1 :]).probe)


def _mean(found: Sequence[Figures]) -> Figures:
    return Figures(*np.mean(found, axis=0))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the .npz files")
    parser.add_argument("--pools", nargs="+", default=list(POOLS), choices=POOLS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-grid", action="store_true", help="leave the grid of trees out")
    asked = parser.parse_args(argv)
    print("| pool | size | sample | probe ± s.e. | closed | label KL | classes | coverage |")
    print("|---|---|---|---|---|---|---|---|")
    with threadpool_limits(N_THREADS):
        for name in asked.pools:
            for line in judged(name, asked.data, asked.seeds, with_grid=not asked.no_grid):
                print(line, flush=True)


if __name__ == "__main__":
    main()
