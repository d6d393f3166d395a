"""A sample's share of the tree: the quota of every node, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.config.model import SampleConfig
from jobs.tables.levels import by_level
from udfs.kernels.sampling.allocation import (
    Sharing,
    TreeLevel,
    admitted,
    pool_weights,
    quotas_down,
)


def read_levels(nodes: pa.Table) -> list[TreeLevel]:
    """Return the tree's columns without the centroids, leaves first.

    Parameters
    ----------
    nodes : level, node_id, parent_id, n_leaves, n_points
    """
    names = [{"parent_id": "parents"}.get(name, name) for name in nodes.column_names]
    return [TreeLevel(**level) for level in by_level(nodes.rename_columns(names))]


@dataclass(frozen=True)
class Share:
    """What one sample takes of every node.

    Attributes
    ----------
    levels : of the tree, leaves first
    """

    sample: SampleConfig
    levels: Sequence[TreeLevel]
    seed: int

    @cached_property
    def quotas(self) -> list[NDArray[np.int64]]:
        """The quota of every node, leaves first."""
        return quotas_down(self.levels, self.sample.target_size, self._sharing)

    @property
    def size(self) -> int:
        """The rows of the sample."""
        return int(self.quotas[-1].sum())

    @property
    def _sharing(self) -> Sharing:
        share = self.sample.share
        return Sharing(
            self.seed,
            leaves=share.power_of_leaves,
            points=share.points,
            replicas=self.sample.replicas,
        )

    def allocations(self) -> pa.Table:
        """Return every node's capacity and quota : sample, level, node_id, capacity, quota."""
        parts = []
        for t, (level, quota) in enumerate(zip(self.levels, self.quotas, strict=True), start=1):
            n_nodes = len(quota)
            parts.append(
                pa.table(
                    {
                        "sample": self._named(n_nodes),
                        "level": pa.array(np.full(n_nodes, t, np.int32)),
                        "node_id": pa.array(np.arange(n_nodes)),
                        "capacity": pa.array(level.n_points * self.sample.replicas),
                        "quota": pa.array(quota),
                    }
                )
            )
        return pa.concat_tables(parts)

    def of_leaves(self) -> pa.Table:
        """Return what the leaves give, those that give something.

        Returns
        -------
        quotas : sample, leaf_id, quota, n_points, pool_weight of each of its rows, positions of its
            rows in the sample, by rank
        """
        quota = self.quotas[0]
        filled = np.flatnonzero(quota)
        ends = np.append(0, np.cumsum(quota[filled])).astype(np.int32)
        positions = admitted(self.levels, self.quotas, self._sharing)
        return pa.table(
            {
                "sample": self._named(len(filled)),
                "leaf_id": pa.array(filled),
                "quota": pa.array(quota[filled]),
                "n_points": pa.array(self.levels[0].n_points[filled]),
                "pool_weight": pa.array(pool_weights(self.levels, self.quotas)[filled]),
                "positions": pa.ListArray.from_arrays(pa.array(ends), pa.array(positions)),
            }
        )

    def _named(self, n: int) -> pa.Array:
        return pa.array([self.sample.name]).take(pa.array(np.zeros(n, int)))
