"""Grow the tree: every level clusters the centroids of the level below.

Source: "Automatic Data Curation for Self-Supervised Learning" (arXiv 2405.15613), section 3.2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.lake.config import ClusterConfig
from jobs.lake.errors import ConfigError
from udfs.kernels.grid import join_limbs
from udfs.kernels.hashing import derive_seed
from udfs.kernels.kmeans import Iteration, KMeansParams
from udfs.kernels.nearest import Centroids
from udfs.kernels.resampling import fit_level
from udfs.kernels.sources import BlockSource
from udfs.kernels.steps import DescribeClusters, LabelPoints

OnIteration = Callable[[int, int, str, Iteration], None]  # level, round, solver, iteration


@dataclass(frozen=True)
class Level:
    """One level of the tree, columns over its nodes; lengths in grid units.

    Attributes
    ----------
    centroids : (n_nodes, n_features) float32, grid coordinates
    parents : (n_nodes,) int64, nodes of the level above; -1 at the top
    n_children, n_leaves, n_points : (n_nodes,) int64
    inertia : n_nodes exact Python ints, squared distances of the level's inputs summed
    sq_radius : (n_nodes,) float64, exact, the largest of those distances
    """

    centroids: NDArray[np.float32]
    parents: NDArray[np.int64]
    n_children: NDArray[np.int64]
    n_leaves: NDArray[np.int64]
    n_points: NDArray[np.int64]
    inertia: list[int]
    sq_radius: NDArray[np.float64]


def grow_tree(
    pool: BlockSource,
    config: ClusterConfig,
    *,
    seed: int,
    blocks_of: Callable[[NDArray[np.float32]], BlockSource],
    on_iteration: OnIteration,
) -> list[Level]:
    """Solve all levels, leaves first.

    Parameters
    ----------
    blocks_of : puts the centroids of one level into blocks for the next

    Raises
    ------
    ConfigError
        If a level asks for more clusters than it has distinct inputs.
    """
    params = KMeansParams(
        algorithm=config.algorithm,
        max_iter=config.max_iter,
        tol=config.tol,
        **config.minibatch.model_dump(),
    )
    levels: list[Level] = []
    source = pool
    for t, k in enumerate(config.levels, start=1):
        _require_enough(t, k, source.n_rows)
        solver = source.solver

        def tell(round_: int, iteration: Iteration, t: int = t, solver: str = solver) -> None:
            on_iteration(t, round_, solver, iteration)

        try:
            C = fit_level(
                source,
                k,
                params,
                rounds=config.rounds_at(t),
                points=config.points_at(t),
                seed=derive_seed(seed, t),
                on_iteration=tell,
            )
        except ValueError as error:
            raise ConfigError(
                f"cluster.levels[{t - 1}]={k}: {error}; lower it or drop the level"
            ) from error
        levels = _stacked(levels, source, C)
        if t > 1:
            source.release()
        source = blocks_of(levels[-1].centroids)
    return levels


def _require_enough(level: int, n_clusters: int, n_inputs: int) -> None:
    if n_clusters > n_inputs:
        what = "points" if level == 1 else f"nodes of level {level - 1}"
        raise ConfigError(
            f"cluster.levels[{level - 1}]={n_clusters} exceeds its input of {n_inputs} {what}; "
            f"lower it or drop level {level}"
        )


def _stacked(levels: list[Level], source: BlockSource, C: NDArray[np.float32]) -> list[Level]:
    """Put a new level on top: describe its nodes, give those below their parents."""
    described = source.reduce(DescribeClusters(Centroids(C)))
    filled = described["counts"] > 0  # a node is a cluster with members
    C, n_children = C[filled], described["counts"][filled]
    n_leaves, n_points = np.ones(len(C), np.int64), n_children
    if levels:
        below = levels[-1]
        labels = source.reduce(LabelPoints(Centroids(C)))["labels"].astype(np.int64)
        levels = [*levels[:-1], _with_parents(below, labels)]
        n_leaves, n_points = np.zeros(len(C), np.int64), np.zeros(len(C), np.int64)
        np.add.at(n_leaves, labels, below.n_leaves)
        np.add.at(n_points, labels, below.n_points)
    top = Level(
        centroids=C,
        parents=np.full(len(C), -1, np.int64),
        n_children=n_children,
        n_leaves=n_leaves,
        n_points=n_points,
        inertia=[join_limbs(limbs) for limbs in described["inertia"][filled]],
        sq_radius=described["sq_radius"][filled],
    )
    return [*levels, top]


def _with_parents(level: Level, parents: NDArray[np.int64]) -> Level:
    return Level(**(level.__dict__ | {"parents": parents}))


def leaf_paths(levels: list[Level]) -> NDArray[np.int64]:
    """Give every leaf's nodes from level 1 to the top : (n_leaves, n_levels) int64."""
    path = [np.arange(len(levels[0].centroids))]
    for level in levels[:-1]:
        path.append(level.parents[path[-1]])
    return np.stack(path, axis=1)
