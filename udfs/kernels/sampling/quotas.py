"""Quotas down the tree by the capacitated Sainte-Lague divisor method, vectorised over nodes.

Unit u = 0, 1, ... of a child with weight w has priority w / (2u + 1). A parent with quota B takes
the B units of highest priority among those that fit (u < capacity); ``order`` breaks ties. Because
the priorities are one fixed list, a larger B only ever adds units: quotas are house-monotone, and
samples of growing size are nested. A child's first units up to its minimum come before all
others. With equal weights this is the paper's water-filling
(arXiv 2405.15613, section 3.4). Balinski and Young, "Fair Representation" (1982), is the reference
on divisor methods.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

WEIGHT_BITS = 30  # weights keep this many significant bits: powers may differ in the last ulp
BLOCK_CHILDREN = 1 << 16  # processed together: a dozen columns of 0.5 MiB stay in the cache


def share_weights(
    n_leaves: NDArray[np.int64], n_points: NDArray[np.int64], *, leaves: float, points: float
) -> NDArray[np.float64]:
    """Return w = n_leaves^leaves * n_points^points, rounded so that CPUs agree : (n_nodes,).

    A node without points weighs as if it had one: its capacity is zero anyway.
    """
    weights = (
        np.maximum(n_leaves, 1).astype(np.float64) ** leaves
        * np.maximum(n_points, 1).astype(np.float64) ** points
    )
    return rounded(weights)


def rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round weights to few enough bits for every CPU to agree on them : (n,)."""
    mantissa, exponent = np.frexp(weights)
    kept: NDArray[np.float64] = np.rint(np.ldexp(mantissa, WEIGHT_BITS))
    return np.asarray(np.ldexp(kept, exponent - WEIGHT_BITS), dtype=np.float64)


def divide_quotas(
    quotas: NDArray[np.int64],
    parents: NDArray[np.int64],
    weights: NDArray[np.float64],
    capacities: NDArray[np.int64],
    order: NDArray[np.uint64],
    minima: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Divide every parent's quota among its children.

    Parameters
    ----------
    quotas : (n_parents,) int64, units to place below each parent
    parents : (n_children,) int64, each child's parent, 0 <= parent < n_parents
    weights : (n_children,) float64, positive
    capacities : (n_children,) int64, not negative
    order : (n_children,) uint64, ties go to the smallest, then to the lowest index
    minima : (n_children,) int64, at most the capacities; 0 by default. A quota below their sum is
        divided among the units that they ask for

    Returns
    -------
    child_quotas : (n_children,) int64; per parent they sum to min(quota, capacity below)
    """
    floors: NDArray[np.int64] = np.zeros_like(capacities) if minima is None else minima
    if minima is not None:
        is_short = (quotas < units_below(minima, parents, len(quotas)))[parents]
        capacities = np.where(is_short, minima, capacities)
        floors = np.where(is_short, 0, minima)
    room, floor = (units_below(units, parents, len(quotas)) for units in (capacities, floors))
    child_quotas = np.where((quotas >= room)[parents], capacities, floors)
    is_scarce = (quotas > floor) & (quotas < room)  # the other parents take all or the least
    rivals = np.flatnonzero(is_scarce[parents] & (capacities > floors))
    rivals = rivals[_stable_order(parents[rivals])]
    wanted = (quotas - floor)[is_scarce]
    sizes = np.bincount(parents[rivals], minlength=len(quotas))[is_scarce]
    for some, theirs in _blocks(sizes):
        child = rivals[theirs]
        child_quotas[child] = _divide_block(
            wanted[some], sizes[some], weights[child], floors[child], capacities[child],
            order[child],
        )  # fmt: skip
    return child_quotas


def admission_order(
    quotas: NDArray[np.int64],
    parents: NDArray[np.int64],
    weights: NDArray[np.float64],
    order: NDArray[np.uint64],
    minima: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the order in which growing quotas of the parents admit their children's units.

    Parameters
    ----------
    quotas : (n_children,) int64, the units of each child
    parents, weights, order, minima : as in ``divide_quotas``

    Returns
    -------
    places : (n_units,) int64. Units are listed child after child; unit i is number ``places[i]``
        once they are listed parent after parent, in the order of their admission
    """
    child = np.repeat(np.arange(len(quotas)), quotas)
    unit = np.arange(len(child)) - np.repeat(np.cumsum(quotas) - quotas, quotas)
    tie = np.empty(len(order), np.int64)
    tie[np.argsort(order, kind="stable")] = np.arange(len(order))
    keys = [tie[child], -(weights[child] / (2.0 * unit + 1))]
    if minima is not None:
        keys.append(unit >= minima[child])
    places = np.empty(len(child), np.int64)
    places[np.lexsort((*keys, parents[child]))] = np.arange(len(child))
    return places


def units_below(
    units: NDArray[np.int64], parents: NDArray[np.int64], n_parents: int
) -> NDArray[np.int64]:
    """Sum the children's units : (n_parents,) int64."""
    sums = np.zeros(n_parents, np.int64)
    np.add.at(sums, parents, units)
    return sums


def _stable_order(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return np.argsort(keys, kind="stable"), faster: key and position, one integer, are sorted."""
    bits = len(keys).bit_length()
    ordered: NDArray[np.int64] = np.sort(keys << bits | np.arange(len(keys)))
    return ordered & ((1 << bits) - 1)


def _blocks(sizes: NDArray[np.int64]) -> Iterator[tuple[slice, slice]]:
    """Cut parents, and their children with them, every BLOCK_CHILDREN children or so."""
    ends = np.cumsum(sizes)
    cuts = np.flatnonzero(np.diff(ends // BLOCK_CHILDREN, prepend=-1, append=-1))
    edges = np.append(0, ends)[cuts]
    for some, theirs in zip(pairwise(cuts.tolist()), pairwise(edges.tolist()), strict=True):
        yield slice(*some), slice(*theirs)


def _divide_block(
    missing: NDArray[np.int64],
    sizes: NDArray[np.int64],
    weights: NDArray[np.float64],
    floors: NDArray[np.int64],
    capacities: NDArray[np.int64],
    order: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Divide among children that are grouped by parent.

    A child's units below `taken` are in, those from `reach` on are out, the others are open. Each
    step sets every parent's threshold between its best and its worst open priority, which closes
    units from above or from below. Children without open units drop out.

    Parameters
    ----------
    missing : (n_parents,) int64, units to place beyond the floors; positive, and less than fit
    sizes : (n_parents,) int64, numbers of children, positive
    weights, floors, capacities, order : (n_children,) each, floors below capacities

    Returns
    -------
    quotas : (n_children,) int64
    """
    quotas = floors.copy()
    child: NDArray[np.int64] = np.arange(len(capacities), dtype=np.int64)
    taken, reach = quotas, capacities
    while len(child):
        starts = np.cumsum(sizes) - sizes
        high = np.maximum.reduceat(weights / (2.0 * taken + 1), starts)  # (n_parents,)
        low = np.minimum.reduceat(weights / (2.0 * reach - 1), starts)
        middle = np.clip(np.sqrt(low) * np.sqrt(high), np.nextafter(low, np.inf), high)
        units = np.maximum(_units_above(np.repeat(middle, sizes), weights, reach), taken)
        if (is_tie := low == high).any():  # each child has one open unit
            tied = np.repeat(is_tie, sizes)
            units[tied] = taken[tied] + _first(missing[is_tie], sizes[is_tie], order[child[tied]])
        gained = np.add.reduceat(units - taken, starts)
        taken = np.where(np.repeat(gained <= missing, sizes), units, taken)
        reach = np.where(np.repeat(gained >= missing, sizes), units, reach)
        quotas[child] = taken
        missing = np.where(gained <= missing, missing - gained, missing)
        is_open = reach > taken
        child, taken, reach = (x[is_open] for x in (child, taken, reach))
        weights = weights[is_open]
        sizes = np.add.reduceat(is_open, starts, dtype=np.int64)
        missing, sizes = missing[sizes > 0], sizes[sizes > 0]
    return quotas


def _units_above(
    threshold: NDArray[np.float64], weights: NDArray[np.float64], capacities: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count each child's units of priority >= threshold, at most its capacity."""
    guess = np.minimum((weights / threshold + 1) / 2, capacities)
    units: NDArray[np.int64] = guess.astype(np.int64)
    # the guess is off by at most one if the division was rounded
    units -= (units > 0) & (weights / (2.0 * units - 1) < threshold)
    units += (units < capacities) & (weights / (2.0 * units + 1) >= threshold)
    return units


def _first(
    wanted: NDArray[np.int64], sizes: NDArray[np.int64], order: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """Mark the first ``wanted`` children of each parent by order : (n_children,) bool."""
    parents = np.repeat(np.arange(len(sizes)), sizes)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    first = np.zeros(len(order), bool)
    first[np.lexsort((order, parents))] = rank < np.repeat(wanted, sizes)
    return first
