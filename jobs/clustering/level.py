"""One level of the tree: its columns, and levels as journal state."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.cells.routing import Routing
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.passes.journal import State

_ARRAYS = ("centroids", "parents", "n_children", "n_leaves", "n_points", "inertia", "sq_radius")


@dataclass(frozen=True)
class Level:
    """One level of the tree, as columns over its nodes; lengths in grid units.

    Attributes
    ----------
    centroids : (n_nodes, n_features) float32, grid coordinates
    parents : (n_nodes,) int64, nodes of the level above; -1 at the top
    n_children, n_leaves, n_points : (n_nodes,) int64
    inertia : (n_nodes, 2) int64 limbs of exact sums of squared distances to the level's inputs
    sq_radius : (n_nodes,) float64, exact, the largest of those distances
    routing : how the level's inputs find their nodes, if the level was split
    """

    centroids: NDArray[np.float32]
    parents: NDArray[np.int64]
    n_children: NDArray[np.int64]
    n_leaves: NDArray[np.int64]
    n_points: NDArray[np.int64]
    inertia: NDArray[np.int64]
    sq_radius: NDArray[np.float64]
    routing: Routing | None = None


def state_of(levels: Sequence[Level]) -> State:
    """Return levels as arrays by name, for a journal."""
    state: dict[str, object] = {"n_levels": len(levels)}
    for t, level in enumerate(levels, start=1):
        state |= {f"{t}.{name}": getattr(level, name) for name in _ARRAYS}
        if level.routing:
            state[f"{t}.cells"] = level.routing.cells.vectors
            state[f"{t}.leaves"] = level.routing.leaves
            state[f"{t}.starts"] = level.routing.starts
    return state


def levels_of(state: State) -> list[Level]:
    """Return the levels of a journal state."""
    levels = []
    for t in range(1, int(state["n_levels"]) + 1):
        routing = None
        if f"{t}.cells" in state:
            cells = Centroids(state[f"{t}.cells"])
            routing = Routing(cells, state[f"{t}.leaves"], state[f"{t}.starts"])
        arrays = {name: state[f"{t}.{name}"] for name in _ARRAYS}
        levels.append(Level(**arrays, routing=routing))
    return levels
