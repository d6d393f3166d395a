"""Passes over blocks: what a step is, how a point is named, how the first few are kept.

A *step* is a frozen description of one pass (picklable except for its centroids, which are shipped
separately). Each task calls ``begin()`` once, ``add``s its points, and returns ``result()``: a dict
of arrays. ``merge`` joins the tasks' dicts. Every sum is exact and every choice has a total order,
so the merged result does not depend on which block was seen where.

A point's *position* is ``block_id << 32 | row``: blocks are ordered by content, so positions order
the points the same way whatever the layout. The steps themselves are in ``steps``, beside this.
"""

from collections.abc import Sequence
from dataclasses import Field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Centroids

Arrays = dict[str, NDArray[Any]]
_ROW_BITS = 32


def positions(block_ids: NDArray[np.integer], n_rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the positions of the rows of some blocks, one block after the other.

    Parameters
    ----------
    block_ids, n_rows : (n_blocks,)
    """
    stops = np.cumsum(n_rows, dtype=np.int64)
    rows = np.arange(n_rows.sum()) - np.repeat(stops - n_rows, n_rows)
    first = np.repeat(block_ids.astype(np.int64), n_rows) << _ROW_BITS
    return np.asarray(first + rows, np.int64)


def block_of(position: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the block ids of positions : (n,)."""
    return position >> _ROW_BITS


def renumbered(position: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return these points' positions (n,), once all others are removed from their blocks."""
    return positions(*np.unique(block_of(position), return_counts=True))


class Pass(Protocol):
    """One task's share of a pass."""

    def add(self, where: NDArray[np.int64], X: NDArray[np.float32]) -> None:
        """Add some points : (m,) positions, (m, d) grid coordinates."""

    def result(self) -> Arrays:
        """Return the partial result."""


class Step(Protocol):
    """The description of one pass over points; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def centroids(self) -> Centroids:
        """The one large array of the step, shipped separately."""

    def begin(self) -> Pass:
        """Start one task's share."""

    def merge(self, parts: Sequence[Arrays]) -> Arrays:
        """Join the tasks' partial results."""


class Smallest:
    """The n smallest (key, position) pairs seen so far, with their rows; never infinite keys."""

    def __init__(self, n: int, n_features: int) -> None:
        self.n = n
        self.keys = np.empty(0)
        self.positions = np.empty(0, np.int64)
        self.rows = np.empty((0, n_features), np.float32)

    def offer(
        self, keys: NDArray[np.float64], where: NDArray[np.int64], X: NDArray[np.float32]
    ) -> None:
        """Offer points : (m,) keys, (m,) positions, (m, d) rows."""
        bound = self.keys[-1] if len(self.keys) == self.n else np.inf
        chosen = np.flatnonzero((keys <= bound) & np.isfinite(keys))
        if len(chosen) == 0:
            return
        keys = np.concatenate([self.keys, keys[chosen]])
        where = np.concatenate([self.positions, where[chosen]])
        order = np.lexsort((where, keys))[: self.n]
        old = len(self.keys)
        rows = np.empty((len(order), X.shape[1]), np.float32)
        rows[order < old] = self.rows[order[order < old]]
        rows[order >= old] = X[chosen[order[order >= old] - old]]
        self.keys, self.positions, self.rows = keys[order], where[order], rows

    def arrays(self, name: str) -> Arrays:
        """Return them as arrays named after ``name``, smallest first."""
        return {
            f"{name}_keys": self.keys,
            f"{name}_positions": self.positions,
            f"{name}_rows": self.rows,
        }
