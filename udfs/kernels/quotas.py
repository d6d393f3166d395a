"""Quotas down the tree by the capacitated Sainte-Lague divisor method, vectorised over nodes.

Unit u = 0, 1, ... of a child with weight w has priority w / (2u + 1). A parent with quota B takes
the B units of highest priority among those that fit (u < capacity); ties go by ``order``. Because
the priorities are one fixed list, a larger B only ever adds units: quotas are house-monotone, and
samples of growing size are nested. With equal weights this is the paper's water-filling
(arXiv 2405.15613, section 3.4). Balinski and Young, "Fair Representation" (1982), is the reference
on divisor methods.
"""

import numpy as np
from numpy.typing import NDArray

WEIGHT_BITS = 30  # weights keep this many significant bits: powers may differ in the last ulp


def share_weights(
    n_leaves: NDArray[np.int64], n_points: NDArray[np.int64], *, leaves: float, points: float
) -> NDArray[np.float64]:
    """Give w = n_leaves^leaves * n_points^points, rounded so that every CPU agrees.

    A node without points weighs as one point: its capacity is zero anyway.
    """
    weights = (
        np.maximum(n_leaves, 1).astype(np.float64) ** leaves
        * np.maximum(n_points, 1).astype(np.float64) ** points
    )
    mantissa, exponent = np.frexp(weights)
    kept: NDArray[np.float64] = np.rint(np.ldexp(mantissa, WEIGHT_BITS))
    return np.asarray(np.ldexp(kept, exponent - WEIGHT_BITS), dtype=np.float64)


def divide_quotas(
    quotas: NDArray[np.int64],
    parents: NDArray[np.int64],
    weights: NDArray[np.float64],
    capacities: NDArray[np.int64],
    order: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Divide every parent's quota among its children.

    Parameters
    ----------
    quotas : (n_parents,) int64, units to place below each parent
    parents : (n_children,) int64, each child's parent, 0 <= parent < n_parents
    weights : (n_children,) float64, positive
    capacities : (n_children,) int64, not negative
    order : (n_children,) uint64, ties go to the smallest, then to the lowest index

    Returns
    -------
    child_quotas : (n_children,) int64; per parent they sum to min(quota, capacity below)
    """
    n_parents = len(quotas)
    room = np.zeros(n_parents, np.int64)
    np.add.at(room, parents, capacities)
    wanted = np.minimum(quotas, room)
    # Two priority thresholds per parent: at `high` too few units are taken, at `low` enough.
    high = np.zeros(n_parents)
    np.maximum.at(high, parents, weights)
    high = np.nextafter(high, np.inf)
    low = np.full(n_parents, np.inf)
    np.minimum.at(low, parents, weights / (2.0 * np.maximum(capacities, 1) - 1))
    taken = np.zeros_like(capacities)  # at `high`
    reach = capacities.copy()  # at `low`
    active = np.arange(len(parents))  # children of parents that are not settled yet
    while len(active):
        p = parents[active]
        middle = np.sqrt(low) * np.sqrt(high)
        middle = np.clip(middle, np.nextafter(low, np.inf), np.nextafter(high, 0))
        units = _units_above(middle[p], weights[active], capacities[active])
        total = np.zeros(n_parents, np.int64)
        np.add.at(total, p, units)
        enough = total >= wanted
        reach[active] = np.where(enough[p], units, reach[active])
        taken[active] = np.where(enough[p], taken[active], units)
        is_open = np.zeros(n_parents, bool)
        is_open[p] = True
        low = np.where(is_open & enough, middle, low)
        high = np.where(is_open & ~enough, middle, high)
        # a parent is settled once no child can gain more than one unit between the thresholds
        gap = np.zeros(n_parents, np.int64)
        np.maximum.at(gap, p, reach[active] - taken[active])
        narrow = (gap <= 1) | (np.nextafter(low, np.inf) >= high)
        active = active[~narrow[p]]
    return taken + _last_units(wanted, parents, weights, taken, reach, order)


def _units_above(
    threshold: NDArray[np.float64], weights: NDArray[np.float64], capacities: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count each child's units of priority >= threshold, at most its capacity."""
    guess = np.minimum((weights / threshold + 1) / 2, capacities)
    units: NDArray[np.int64] = np.floor(guess).astype(np.int64)
    # the guess is off by at most one where the division was rounded
    units -= (units > 0) & (weights / (2.0 * units - 1) < threshold)
    units += (units < capacities) & (weights / (2.0 * units + 1) >= threshold)
    return units


def _last_units(
    wanted: NDArray[np.int64],
    parents: NDArray[np.int64],
    weights: NDArray[np.float64],
    taken: NDArray[np.int64],
    reach: NDArray[np.int64],
    order: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Give each parent's remaining units to its best next ones, at most one per child."""
    missing = wanted.copy()
    np.subtract.at(missing, parents, taken)
    extra = np.zeros_like(taken)
    rivals = np.flatnonzero((reach > taken) & (missing[parents] > 0))
    priority = weights[rivals] / (2.0 * taken[rivals] + 1)
    ranked = rivals[np.lexsort((rivals, order[rivals], -priority, parents[rivals]))]
    p = parents[ranked]
    starts = np.flatnonzero(np.r_[True, p[1:] != p[:-1]]) if len(p) else p
    rank = np.arange(len(p)) - np.repeat(starts, np.diff(np.r_[starts, len(p)]))
    extra[ranked[rank < missing[p]]] = 1
    return extra
