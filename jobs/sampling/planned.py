"""A sample's share of the tree under its constraints, or the constraint that cannot be met."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jobs.bounds.rules import NO_CAP, Rules
from jobs.bounds.values import largest_size, within_quotas
from jobs.config.errors import ConfigError, TooFewRowsError
from jobs.sampling.counts import Counts
from jobs.sampling.joint import Joint
from jobs.sampling.likeness import SeedCounts, leaning
from jobs.sampling.shares import Share, Stratum, sharing_of
from jobs.sections.node_rules import NodeRule
from jobs.sections.samples import PerNodeConfig, SampleConfig
from udfs.kernels.sampling.allocation import TreeLevel, bounded, quotas_down, restricted
from udfs.kernels.sampling.quotas import divide_quotas, rounded

log = logging.getLogger(__name__)

MOST_CELLS = 20_000_000  # about 100 bytes each while they are divided
_LEAST_WEIGHT = 1e-9  # weight of values that an unconstrained sample would hardly hold


def plan_sample(
    sample: SampleConfig,
    levels: Sequence[TreeLevel],
    counts: Counts,
    size: int,
    *,
    seed: int,
    rules: Sequence[NodeRule] = (),
    seeds: SeedCounts | None = None,
) -> Share:
    """Return what a sample of some size takes of every node.

    Parameters
    ----------
    levels : the tree's levels, leaves first
    size : the size asked for
    rules : rules for single nodes
    seeds : seeds that landed in each leaf, if the sample is to be like or unlike some

    Raises
    ------
    ConfigError
        If the constraints do not allow that size; it names the nearest that they do.
    """
    sharing = sharing_of(sample, seed)
    if not sample.is_constrained:
        return Share(sample, [Stratum(levels, size, sharing)])
    ruled, n_possible = Rules(sample, rules, levels), int(levels[-1].n_points.sum())
    n_possible *= sample.replicas
    is_all = size >= n_possible  # take all there are, as without constraints
    levels, is_unlike = leaning(sample, ruled.weighted(levels), seeds or {})
    left = _left(sample, counts, {"node_rules": ruled.is_dropped, "strict likeness": is_unlike})
    *_, counts = left.values()
    lowest = _lowest_bound(sample, ruled) if sample.quotas is not None else None
    of_each = None if lowest is not None else ruled  # otherwise they bound all strata together
    trees = [
        _bounded(sample, levels, of_each, *of)
        for of in zip(counts.n_points, counts.n_included, strict=True)
    ]
    least, most = _stratum_bounds(trees)
    wanted, least, most = _reached(sample, least, most, min(size, n_possible), left, is_all=is_all)
    joint = None
    if lowest is not None:
        n_all = (n.sum(axis=0) for n in (counts.n_points, counts.n_included))
        whole = _bounded(sample, levels, ruled, *n_all)
        _require_few_cells(sample, len(trees), len(levels[lowest].parents))
        joint = Joint(trees, whole, least, most, sharing, lowest)
        wanted = _reachable(sample, joint, wanted, is_all=is_all)
    sizes = np.array([wanted])
    if sample.quotas is not None:
        free = _expected(sample, levels, counts, wanted, seed)
        sizes = _divided(wanted, free, least, most)
    if joint is not None:
        return Share(sample, joint.strata(sizes))
    return Share(
        sample, [Stratum(tree, int(n), sharing) for tree, n in zip(trees, sizes, strict=True)]
    )


def _left(
    sample: SampleConfig, counts: Counts, dropped: Mapping[str, NDArray[np.bool_]]
) -> dict[str, Counts]:
    """Return the counts left after each config key that excludes points, in turn.

    Parameters
    ----------
    dropped : config key -> (n_leaves,) the leaves that it drops
    """
    retrieved = [f"{key}.nearest" for key in sample.retrieved]
    left = {" and ".join(retrieved) or "must_exclude": counts}
    for key, is_dropped in dropped.items():
        left[key] = counts = _kept(sample, key, counts, is_dropped)
    return left


def _stratum_bounds(
    trees: Sequence[Sequence[TreeLevel]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the fewest and the most rows of each stratum, without quotas : (n_strata,) each."""
    least, most = (
        np.array([int(bounds[-1].sum()) for bounds in ends])
        for ends in zip(*(_bounds(tree) for tree in trees), strict=True)
    )
    return least, most


def _reached(
    sample: SampleConfig,
    least: NDArray[np.int64],
    most: NDArray[np.int64],
    wanted: int,
    left: Mapping[str, Counts],
    *,
    is_all: bool,
) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Return a size, or the largest below it if all is taken, and the bounds of strata there.

    Parameters
    ----------
    least, most : (n_strata,) without quotas
    left : see ``_left``
    """
    fits = min(wanted, int(most.sum()))
    if sample.quotas is not None:
        fits = largest_size(sample.quotas, most, wanted)
    wanted = fits if is_all else wanted
    if sample.quotas is not None:
        least, most = within_quotas(sample.name, sample.quotas, least, most, wanted, fits)
    _require_reachable(sample, wanted, int(least.sum()), int(most.sum()), fits, left)
    return wanted, least, most


def _divided(
    size: int, free: NDArray[np.float64], least: NDArray[np.int64], most: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Divide a sample's rows among the strata : (n_strata,).

    Parameters
    ----------
    free : (n_strata,) rows of a sample without quotas
    """
    zeros = np.zeros(len(free), np.int64)
    weights = rounded(np.maximum(free, _LEAST_WEIGHT))
    order = zeros.astype(np.uint64)
    return divide_quotas(np.array([size]), zeros, weights, most, order, least)


def _lowest_bound(sample: SampleConfig, ruled: Rules) -> int | None:
    """Return the lowest level, from 0, whose nodes have a bound on their rows; None if none has."""
    capped = [t for t, most in enumerate(ruled.most) if (most < NO_CAP).any()]
    if sample.per_node is not None:
        capped.append(_level_of(sample, sample.per_node, len(ruled.most)) - 1)
    return min(capped, default=None)


def _require_few_cells(sample: SampleConfig, n_strata: int, n_nodes: int) -> None:
    """Refuse a table of values and nodes that would not fit the driver."""
    if (n := n_strata * n_nodes) > MOST_CELLS:
        raise ConfigError(
            f"samples.{sample.name}: {n_strata} values with quotas and {n_nodes:,} nodes with "
            f"bounds are a table of {n:,} cells; want at most {MOST_CELLS:,}: bound the nodes of a "
            "higher level"
        )


def _reachable(sample: SampleConfig, joint: Joint, wanted: int, *, is_all: bool) -> int:
    """Return the size wanted, or the largest if all are; refuse an impossible size."""
    nearest = joint.nearest(wanted)
    if nearest == wanted or (is_all and nearest is not None and nearest < wanted):
        return nearest
    both = f"quotas beside {'per_node' if sample.per_node else 'a cap of node_rules'}"
    at = f"samples.{sample.name}: target_size is {wanted:,} rows"
    if nearest is None:
        raise ConfigError(f"{at}, and {both} cannot be met at any size; relax one of them")
    kind = TooFewRowsError if nearest > wanted else ConfigError
    raise kind(f"{at}, and {both} allow {nearest:,}; want {nearest}, or relax one of them")


def _kept(sample: SampleConfig, key: str, counts: Counts, is_dropped: NDArray[np.bool_]) -> Counts:
    """Return the counts without some leaves, which a key of the config drops."""
    if n := int(counts.n_included[:, is_dropped].sum()):
        raise ConfigError(
            f"samples.{sample.name}: {n:,} rows that must be included are below nodes that {key} "
            "drops; include fewer, or keep the nodes"
        )
    return replace(counts, n_points=np.where(is_dropped, 0, counts.n_points))


def _bounded(
    sample: SampleConfig,
    levels: Sequence[TreeLevel],
    ruled: Rules | None,
    n_points: NDArray[np.int64],
    n_included: NDArray[np.int64],
) -> list[TreeLevel]:
    """Return the tree over some points, with the bounds on each node's rows.

    Parameters
    ----------
    ruled : None if neither rules nor per_node count
    """
    tree = restricted(levels, n_points)
    maxima = [level.n_points * sample.replicas for level in tree]
    minima = [n_included, *(np.zeros_like(level.n_points) for level in tree[1:])]
    if ruled is not None:
        maxima = [*map(np.minimum, maxima, ruled.most)]
    if ruled is not None and (given := sample.per_node) is not None:
        at = _level_of(sample, given, len(tree)) - 1
        _, reach = _bounds(bounded(tree, minima, maxima))  # under the caps of nodes below, too
        minima[at] = np.maximum(minima[at], np.minimum(given.min, reach[at]))
        if given.max is not None:
            maxima[at] = np.minimum(maxima[at], given.max)
    tree = bounded(tree, minima, maxima)
    for t, (least, most) in enumerate(zip(*_bounds(tree), strict=True), start=1):
        over = np.flatnonzero(least > most)
        if len(over):
            raise ConfigError(
                f"samples.{sample.name}: node {over[0]} of level {t} holds {least[over[0]]:,} rows "
                f"that must be included, and per_node.max or a rule allows {most[over[0]]:,}; "
                f"raise it to {least[over].max()}, or include fewer"
            )
    return tree


def _bounds(tree: Sequence[TreeLevel]) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Return the fewest and the most rows below each node, by level."""
    minima = [level.minima for level in tree if level.minima is not None]
    return minima, [level.maxima for level in tree if level.maxima is not None]


def _level_of(sample: SampleConfig, given: PerNodeConfig, n_levels: int) -> int:
    if given.level == "top":
        return n_levels
    if given.level > n_levels:
        raise ConfigError(
            f"samples.{sample.name}.per_node.level={given.level}: the tree has {n_levels} levels; "
            "want one of them, 1 are the leaves, or top"
        )
    return given.level


def _require_reachable(
    sample: SampleConfig,
    wanted: int,
    least: int,
    most: int,
    fits: int,
    left: Mapping[str, Counts],
) -> None:
    """Refuse a size that the constraints do not allow.

    Parameters
    ----------
    fits : the nearest size below that they do
    """
    at = f"samples.{sample.name}: target_size is {wanted:,} rows"
    if least > wanted:
        raise TooFewRowsError(f"{at}, and its constraints demand {least:,}; want {least} or more")
    if most < wanted:
        last = "quotas" if sample.quotas else "per_node.max" if sample.per_node else "node_rules"
        rows = {key: int(counts.n_points.sum()) * sample.replicas for key, counts in left.items()}
        why = next((key for key, n in rows.items() if n < wanted), last)
        raise ConfigError(f"{at}, and {why} leaves {most:,}; want {fits} or fewer, or relax it")


def _expected(
    sample: SampleConfig, levels: Sequence[TreeLevel], counts: Counts, size: int, seed: int
) -> NDArray[np.float64]:
    """Return how many rows of each stratum a sample without quotas would hold : (n_strata,)."""
    n_all = counts.n_points.sum(axis=0)
    free = quotas_down(restricted(levels, n_all), size, sharing_of(sample, seed))[0]
    parts = counts.n_points * free / np.maximum(n_all, 1)
    return np.array([math.fsum(part) for part in parts])
