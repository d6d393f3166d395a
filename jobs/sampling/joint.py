"""Quotas of values beside bounds on nodes: how many rows of each value are below each node.

Both are met by a flow of rows: from the sample to the values, on to the nodes of a level, up the
tree and back. Each of these arcs has bounds, and one maximum flow tells whether all can be met
(Hoffman's circulation theorem): it finds the rows to move, or there are none. All numbers are
whole; if rows can be moved in several ways, scipy chooses.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jobs.sampling.shares import Stratum
from udfs.kernels.sampling.allocation import Sharing, TreeLevel, bounded, quotas_down
from udfs.kernels.sampling.quotas import units_below

STEPS = 64  # from the most even nodes to whatever their bounds allow
_MOST_FLOW = np.iinfo(np.int32).max  # scipy's limit

Counts = NDArray[np.int64]


def circulation(
    tails: Counts, heads: Counts, flow: Counts, low: Counts, high: Counts
) -> Counts | None:
    """Return a flow within bounds, the given one if it qualifies; None if there is none.

    Parameters
    ----------
    tails, heads : (n_arcs,) the arcs' nodes; no two arcs join the same two nodes
    flow : (n_arcs,), as much goes into each node as comes out
    low, high : (n_arcs,) bounds
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_flow

    if (low > high).any():
        return None
    kept = np.clip(flow, low, high)
    n = int(max(tails.max(), heads.max())) + 1
    surplus = np.zeros(n, np.int64)
    np.add.at(surplus, heads, kept - flow)
    np.subtract.at(surplus, tails, kept - flow)
    gains, lacks = np.flatnonzero(surplus > 0), np.flatnonzero(surplus < 0)
    begin = np.concatenate([tails, heads, np.full_like(gains, n), lacks])
    end = np.concatenate([heads, tails, gains, np.full_like(lacks, n + 1)])
    room = np.concatenate([high - kept, kept - low, surplus[gains], -surplus[lacks]])
    room = np.minimum(room, _MOST_FLOW).astype(np.int32)
    found = maximum_flow(csr_matrix((room, (begin, end)), shape=(n + 2, n + 2)), n, n + 1)
    if found.flow_value < surplus[gains].sum():
        return None
    moved = np.asarray(found.flow[tails, heads]).ravel()
    return np.asarray(kept + moved, np.int64)


class Joint:
    """Strata of a sample, and bounds on the rows of all of them below each node.

    Parameters
    ----------
    trees : over each stratum's points, with their bounds; leaves first
    whole : over all points, with the bounds on nodes
    least, most : (n_strata,) rows of each
    t : the lowest level whose nodes have bounds, from 0
    """

    def __init__(
        self,
        trees: Sequence[Sequence[TreeLevel]],
        whole: Sequence[TreeLevel],
        least: Counts,
        most: Counts,
        sharing: Sharing,
        t: int,
    ) -> None:
        self._trees, self._whole, self._sharing, self._t = trees, whole, sharing, t
        self._lows, self._highs = [least], [most]
        sides = [(np.zeros(len(trees), np.int64), 1 + np.arange(len(trees)))]
        n_nodes = [len(level.parents) for level in whole[t:]]
        starts = 1 + len(trees) + np.cumsum([0, *n_nodes])  # nodes of each level, and the root
        # 1. values to nodes, where they have points there
        _, n = shape = (len(trees), n_nodes[0])
        cells = [_bounds(tree[t]) for tree in trees]
        self._is_open = np.array([high > 0 for _, high in cells])
        value, node = np.nonzero(self._is_open)
        sides.append((1 + value, starts[0] + node))
        self._lows.append(np.array([low for low, _ in cells]).reshape(shape)[self._is_open])
        self._highs.append(np.array([high for _, high in cells]).reshape(shape)[self._is_open])
        # 2. nodes up the tree, and back
        for (start, above), level in zip(pairwise(starts), whole[t:], strict=True):
            sides.append((start + np.arange(len(level.parents)), above + level.parents))
            low, high = _bounds(level)
            self._lows.append(low)
            self._highs.append(high)
        sides.append((starts[-1:], np.zeros(1, np.int64)))
        self._tails, self._heads = (np.concatenate(side) for side in zip(*sides, strict=True))

    def nearest(self, n_rows: int) -> int | None:
        """Return the nearest possible size; None if none is."""
        most = int(_bounds(self._whole[-1])[1].sum())
        if not self._is_possible(0, most):
            return None
        if self._is_possible(0, n_rows):
            return (
                bisect_left(range(n_rows + 1), True, key=lambda n: not self._is_possible(n, n_rows))
                - 1
            )
        return n_rows + bisect_left(
            range(n_rows, most), True, key=lambda n: self._is_possible(n_rows, n)
        )

    def _is_possible(self, fewest: int, most: int) -> bool:
        nothing = np.zeros(len(self._tails), np.int64)
        low, high = ([*ends, np.array([n])] for ends, n in
                     ((self._lows, fewest), (self._highs, most)))  # fmt: skip
        ends = np.concatenate(low), np.concatenate(high)
        return circulation(self._tails, self._heads, nothing, *ends) is not None

    def strata(self, sizes: Counts) -> list[Stratum]:
        """Return the strata of a possible size.

        Rows that nodes' bounds do not allow move to where a sample without values would have them,
        as far as the values' bounds allow; what is within the bounds stays.

        Parameters
        ----------
        sizes : (n_strata,) as if nodes had no bounds
        """
        drawn = [
            Stratum(tree, int(n), self._sharing) for tree, n in zip(self._trees, sizes, strict=True)
        ]
        cells = np.array([stratum.quotas[self._t] for stratum in drawn])
        flow = self._flow(cells)
        low, high = (np.concatenate([*e, flow[-1:]]) for e in (self._lows, self._highs))
        if ((flow >= low) & (flow <= high)).all():
            return drawn
        step = bisect_left(range(STEPS), True, key=lambda s: self._moved(flow, s) is not None)
        moved = self._moved(flow, step)
        if moved is None:
            raise ValueError(f"no sample of {flow[-1]} rows meets the bounds; ask for the nearest")
        first = len(self._lows[0])
        cells[self._is_open] = moved[first : first + int(self._is_open.sum())]
        return [
            Stratum(_pinned(tree, self._t, rows), int(rows.sum()), self._sharing)
            for tree, rows in zip(self._trees, cells, strict=True)
        ]

    def _flow(self, cells: Counts) -> Counts:
        """Return the flow of a table : (n_arcs,)."""
        parts, below = [cells.sum(axis=1), cells[self._is_open]], cells.sum(axis=0)
        levels = self._whole[self._t :]
        n_above = [*(len(level.parents) for level in levels[1:]), 1]
        for level, n_parents in zip(levels, n_above, strict=True):
            parts.append(below)
            below = units_below(below, level.parents, n_parents)
        return np.concatenate([*parts, below])

    def _moved(self, flow: Counts, step: int) -> Counts | None:
        """Return a flow whose nodes lie within some steps of the most even one, or None."""
        n_rows, t = int(flow[-1]), self._t
        low, high = self._lows.copy(), self._highs.copy()
        if step < STEPS:  # or whatever the bounds allow: a cap above the nodes may keep them uneven
            most = int(_bounds(self._whole[-1])[1].sum())
            fewer, more = n_rows * step // STEPS, (most - n_rows) * step // STEPS
            at = sum(map(len, self._lows[:2]))
            now = flow[at : at + len(self._whole[t].parents)]
            ideal = [quotas_down(self._whole, n, self._sharing)[t] for n in
                     (n_rows - fewer, n_rows + more)]  # fmt: skip
            low[2] = np.maximum(low[2], np.minimum(now, ideal[0]))
            high[2] = np.minimum(high[2], np.maximum(now, ideal[1]))
        ends = (np.concatenate([*e, flow[-1:]]) for e in (low, high))
        return circulation(self._tails, self._heads, flow, *ends)


def _bounds(level: TreeLevel) -> tuple[Counts, Counts]:
    if level.minima is None or level.maxima is None:
        raise ValueError("the tree has no bounds; want that of ``bounded``")
    return level.minima, level.maxima


def _pinned(tree: Sequence[TreeLevel], t: int, rows: Counts) -> list[TreeLevel]:
    """Return the tree with exactly the given rows below each node of a level."""
    ends = []
    for i in (0, 1):
        bounds = [_bounds(level)[i] for level in tree]
        bounds[t] = rows
        ends.append(bounds)
    return bounded(tree, *ends)
