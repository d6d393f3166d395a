"""What one sample takes of the tree: a share of every node, in strata if values have quotas."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.sections.samples import SampleConfig
from jobs.tables.levels import by_level
from udfs.kernels.sampling.allocation import (
    Sharing,
    TreeLevel,
    admitted,
    pool_weights,
    quotas_down,
)
from udfs.kernels.sampling.quotas import admission_order


def read_levels(nodes: pa.Table) -> list[TreeLevel]:
    """Return the tree's columns without the centroids, leaves first.

    Parameters
    ----------
    nodes : level, node_id, parent_id, n_leaves, n_points
    """
    names = [{"parent_id": "parents"}.get(name, name) for name in nodes.column_names]
    named = by_level(nodes.rename_columns(names))
    return [TreeLevel(of["parents"], of["n_leaves"], of["n_points"]) for of in named]


def sharing_of(sample: SampleConfig, seed: int) -> Sharing:
    """Return how a sample's nodes share their quotas."""
    return Sharing(seed, *sample.share.powers, replicas=sample.replicas)


@dataclass(frozen=True)
class Stratum:
    """The tree over some of the points, and the rows to take of them.

    Attributes
    ----------
    levels : leaves first
    """

    levels: Sequence[TreeLevel]
    size: int
    sharing: Sharing

    @cached_property
    def quotas(self) -> list[NDArray[np.int64]]:
        """The quota of every node, leaves first."""
        return quotas_down(self.levels, self.size, self.sharing)

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """The order in which the rows are admitted, leaf after leaf, a leaf's rows by rank."""
        return admitted(self.levels, self.quotas, self.sharing)


@dataclass(frozen=True)
class Share:
    """What one sample takes of every node.

    Attributes
    ----------
    strata : one, unless values of a column have quotas
    """

    sample: SampleConfig
    strata: Sequence[Stratum]

    @property
    def size(self) -> int:
        """The rows of the sample."""
        return sum(int(stratum.quotas[-1].sum()) for stratum in self.strata)

    def allocations(self) -> pa.Table:
        """Return every node's capacity and quota : sample, level, node_id, capacity, quota."""
        levels = range(len(self.strata[0].levels))
        quotas = [np.sum([s.quotas[t] for s in self.strata], axis=0) for t in levels]
        capacities = [
            np.sum([s.sharing.capacities(s.levels[t]) for s in self.strata], axis=0) for t in levels
        ]
        return allocations_of(self.sample.name, capacities, quotas)

    def of_leaves(self) -> pa.Table:
        """Return what the leaves give, those that give something.

        Returns
        -------
        quotas : sample, stratum, leaf_id, quota, n_points, pool_weight of each of its rows,
            positions of its rows in the sample, by rank
        """
        first = np.array([0, *(len(stratum.positions) for stratum in self.strata)]).cumsum()
        turns = self._turns()
        parts = []
        for i, stratum in enumerate(self.strata):
            quota = stratum.quotas[0]
            filled = np.flatnonzero(quota)
            ends = np.append(0, np.cumsum(quota[filled])).astype(np.int32)
            positions = turns[first[i] + stratum.positions]
            weights = pool_weights(stratum.levels, stratum.quotas)
            parts.append(
                pa.table(
                    {
                        "sample": _repeated(self.sample.name, len(filled)),
                        "stratum": pa.array(np.full(len(filled), i, np.int32)),
                        "leaf_id": pa.array(filled),
                        "quota": pa.array(quota[filled]),
                        "n_points": pa.array(stratum.levels[0].n_points[filled]),
                        "pool_weight": pa.array(weights[filled]),
                        "positions": pa.ListArray.from_arrays(pa.array(ends), pa.array(positions)),
                    }
                )
            )
        return pa.concat_tables(parts)

    def _turns(self) -> NDArray[np.int64]:
        """Return the position of each stratum's first, second, ... row, stratum after stratum."""
        if len(self.strata) == 1:
            return np.arange(self.strata[0].quotas[0].sum())
        sizes = np.array([len(stratum.positions) for stratum in self.strata])
        parents, order = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.uint64)
        return admission_order(sizes, parents, np.maximum(sizes, 1).astype(np.float64), order)


def allocations_of(
    name: str, capacities: Sequence[NDArray[np.int64]], quotas: Sequence[NDArray[np.int64]]
) -> pa.Table:
    """Return a sample's rows of ``allocations`` : sample, level, node_id, capacity, quota.

    Parameters
    ----------
    capacities, quotas : (n_nodes,) by level, leaves first
    """
    parts = []
    for t, (capacity, quota) in enumerate(zip(capacities, quotas, strict=True), start=1):
        n_nodes = len(quota)
        parts.append(
            pa.table(
                {
                    "sample": _repeated(name, n_nodes),
                    "level": pa.array(np.full(n_nodes, t, np.int32)),
                    "node_id": pa.array(np.arange(n_nodes)),
                    "capacity": pa.array(capacity),
                    "quota": pa.array(quota),
                }
            )
        )
    return pa.concat_tables(parts)


def _repeated(name: str, n: int) -> pa.Array:
    return pa.array([name]).take(pa.array(np.zeros(n, int)))
