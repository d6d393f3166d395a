"""Grow the tree: every level clusters the centroids of the level below.

Source: "Automatic Data Curation for Self-Supervised Learning" (arXiv 2405.15613), section 3.2.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jobs.clustering.level import Level, levels_of, state_of
from jobs.clustering.sizes import CELL_BYTES, fitting_cells, max_cell_rows
from jobs.config.errors import ConfigError
from jobs.sections.cluster import ClusterConfig
from udfs.kernels.cells.coarse import CellTooLarge
from udfs.kernels.cells.routing import Routing
from udfs.kernels.cells.split import fit_split
from udfs.kernels.exact.hashing import derive_seed
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import Iteration, KMeansParams
from udfs.kernels.kmeans.resampling import fit_level
from udfs.kernels.kmeans.start import TooFewDistinct
from udfs.kernels.passes.journal import NO_JOURNAL, Journal
from udfs.kernels.passes.sources import BlockSource, CellSource, LocalBlocks, blocks_of
from udfs.kernels.passes.step import Arrays
from udfs.kernels.passes.steps.members import DescribeClusters, LabelPoints

log = logging.getLogger(__name__)

_MOST_COPIED = 0.5  # of a cell's points, where copies are not what keeps it whole

OnIteration = Callable[[int, int, str, Iteration], None]  # level, round, solver, iteration
Tell = Callable[[int, Iteration], None]  # round, iteration


def grow_tree(
    pool: BlockSource | CellSource,
    config: ClusterConfig,
    *,
    seed: int,
    n_threads: int,
    on_iteration: OnIteration,
    known: Sequence[Level] = (),
    journal: Journal = NO_JOURNAL,
) -> list[Level]:
    """Solve all levels, leaves first; those above level 1 in this process's memory.

    Parameters
    ----------
    pool : a ``CellSource`` if level 1 is split
    known : the first levels, if another tree of the same seed has them already
    journal : saved after each level; a state that it holds is resumed, and ``known`` ignored

    Raises
    ------
    ConfigError
        If a level asks for more clusters than it has distinct inputs, or a cell is too large.
    """
    levels = levels_of(state) if (state := journal.load()) else [*known]
    for t, k in enumerate(config.levels[len(levels) :], start=len(levels) + 1):
        below = blocks_of(levels[-1].centroids, n_threads) if levels else None
        source = below or pool
        _require_enough(t, k, source.n_rows)
        tell = partial(_tell, on_iteration, t, source.solver)
        try:
            solve: Callable[..., Level] = _solve_in_cells if config.cells_at(t) else _solve_flat
            level = solve(source, t, config, derive_seed(seed, t), tell, journal.parts())
        except TooFewDistinct as error:
            raise ConfigError(
                f"cluster.levels[{t - 1}]={k}: {error}; lower it or drop the level"
            ) from error
        except CellTooLarge as error:
            fix = _fix_for_cell(error, t, source, config)
            raise ConfigError(f"cluster.levels[{t - 1}]={k}: {error}; {fix}") from error
        levels = [level] if below is None else _stacked(levels, below, level)
        journal.save(**state_of(levels))
    return levels


def _tell(
    on_iteration: OnIteration, level: int, solver: str, round_: int, iteration: Iteration
) -> None:
    on_iteration(level, round_, solver, iteration)


def _solve_flat(
    source: BlockSource, t: int, config: ClusterConfig, seed: int, tell: Tell, journal: Journal
) -> Level:
    """Solve a level over all its inputs at once, with resampling."""
    C = fit_level(
        source,
        config.levels[t - 1],
        _params(config),
        rounds=config.rounds_at(t),
        points=config.points_at(t),
        seed=seed,
        on_iteration=tell,
        journal=journal,
    )
    return _level(C, source.reduce(DescribeClusters(Centroids(C))))


def _solve_in_cells(
    source: CellSource, t: int, config: ClusterConfig, seed: int, tell: Tell, journal: Journal
) -> Level:
    """Solve a level cell by cell, without resampling."""
    if config.rounds_at(t):
        log.info("level=%d split=%d resampling=skipped", t, config.cells_at(t))
    split = fit_split(
        source,
        config.levels[t - 1],
        config.cells_at(t),
        _params(config),
        max_rows=max_cell_rows(config, source.n_features),
        seed=seed,
        on_iteration=partial(tell, 0),
        journal=journal,
    )
    return _level(split.routing.leaves, split.described, split.routing)


def _fix_for_cell(
    error: CellTooLarge, t: int, source: BlockSource | CellSource, config: ClusterConfig
) -> str:
    """Return what to do about a cell that cannot be divided."""
    limit = max_cell_rows(config, source.n_features)
    _, n_leaves = fitting_cells(source.n_rows, limit)
    if config.levels[t - 1] < n_leaves:
        fix = f"its parts have too few points for a cluster: raise it to {n_leaves} or more"
    elif error.copied > _MOST_COPIED:
        fix = (
            f"{error.copied:.0%} of them are copies of others: turn copies away by dedup.exact, or "
            "by dedup.threshold where only their vectors are equal"
        )
    else:
        fix = "they lie close together: turn near copies away by dedup.threshold"
    if limit < error.n_points <= CELL_BYTES // (4 * source.n_features):
        fix += f"; or raise cluster.max_cell_rows={limit} to {error.n_points} or more"
    return fix


def _params(config: ClusterConfig) -> KMeansParams:
    return KMeansParams(
        algorithm=config.algorithm,
        max_iter=config.max_iter,
        tol=config.tol,
        **config.minibatch.model_dump(),
    )


def _level(C: NDArray[np.float32], described: Arrays, routing: Routing | None = None) -> Level:
    """Return a level with these centroids, without parents yet; empty clusters make no nodes."""
    filled = described["counts"] > 0
    n_nodes = int(filled.sum())
    return Level(
        centroids=C[filled],
        parents=np.full(n_nodes, -1, np.int64),
        n_children=described["counts"][filled],
        n_leaves=np.ones(n_nodes, np.int64),
        n_points=described["counts"][filled],
        inertia=described["inertia"][filled],
        sq_radius=described["sq_radius"][filled],
        routing=routing,
    )


def _require_enough(level: int, n_clusters: int, n_inputs: int) -> None:
    if n_clusters > n_inputs:
        what = "points" if level == 1 else f"nodes of level {level - 1}"
        raise ConfigError(
            f"cluster.levels[{level - 1}]={n_clusters} exceeds its input of {n_inputs} {what}; "
            f"lower it or drop level {level}"
        )


def _stacked(levels: list[Level], inputs: LocalBlocks, top: Level) -> list[Level]:
    """Put a level on top of the others: its nodes become the parents of the level below."""
    below = levels[-1]
    labelled = inputs.reduce(LabelPoints(Centroids(top.centroids), top.routing))
    parents = labelled["labels"].astype(np.int64)
    n_leaves, n_points = np.zeros((2, len(top.centroids)), np.int64)
    np.add.at(n_leaves, parents, below.n_leaves)
    np.add.at(n_points, parents, below.n_points)
    return [
        *levels[:-1],
        replace(below, parents=parents),
        replace(top, n_leaves=n_leaves, n_points=n_points),
    ]
