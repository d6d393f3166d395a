"""The order of points along a walk through the tree, from which batches are cut.

A point's key is a place on the walk, in points of the pool: where its node begins, and a hash's
share of its node. A temperature t moves it on by up to t of the walk, past the end to the
beginning: at 1 every place is as likely as any other, a uniform shuffle. Every epoch begins the
walk elsewhere and has hashes of its own.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.exporting.cutting import by_number, numbered
from udfs.kernels.exact.grid import to_grid
from udfs.kernels.exact.hashing import derive_seed
from udfs.kernels.negatives.walk import Nodes, walk

_BITS = 24  # of a hash's share: products with up to 2^39 points stay below 2^63


def level_for(n_points: int, n_nodes: Sequence[int], size: int) -> int:
    """Return the lowest level whose nodes hold a batch of points on average; the top if none does.

    Nodes that hold more than a batch have other batches in every epoch.

    Parameters
    ----------
    n_nodes : nodes per level, leaves first
    """
    fit = (t for t, n in enumerate(n_nodes, start=1) if n_points >= size * n)
    return next(fit, len(n_nodes))


def walk_of(nodes: pa.Table, unit: float) -> pa.Table:
    """Return the lowest level's nodes with the points before each on the walk.

    Parameters
    ----------
    nodes : level, node_id, parent_id, n_points, centroid; a level and all above it
    unit : grid unit

    Returns
    -------
    walk : node_id, before, n_points; in the order of the walk
    """
    found = sorted(nodes["level"].unique().to_pylist())
    levels = [nodes.filter(pa.compute.field("level") == level) for level in found]
    order = walk([_nodes_of(rows, unit) for rows in levels])
    n_points = _by_id(levels[0], "n_points")[order]
    before = np.cumsum(n_points) - n_points
    return pa.table({"node_id": order, "before": before, "n_points": n_points})


def _nodes_of(rows: pa.Table, unit: float) -> Nodes:
    """Return a level's nodes, by id; there may be too many values for one Arrow array."""
    parts = [part.flatten().to_numpy() for part in rows["centroid"].chunks if len(part)]
    X = np.concatenate(parts).reshape(len(rows), -1)
    by_id = np.argsort(rows["node_id"].to_numpy())
    return Nodes(to_grid(X[by_id], unit), _by_id(rows, "parent_id"))


def _by_id(rows: pa.Table, name: str) -> NDArray[np.int64]:
    by_id = np.argsort(rows["node_id"].to_numpy())
    return np.asarray(rows[name].fill_null(0).to_numpy()[by_id], np.int64)


def ordered(
    points: DataFrame, order: DataFrame, *, n_walk: int, temperature: float, seed: int, epoch: int
) -> DataFrame:
    """Number points in the order of an epoch.

    Parameters
    ----------
    points : id, cluster_id
    order : node_id, before, n_points; as ``walk_of`` returns it
    n_walk : the points of the walk

    Returns
    -------
    ordered : id, cluster_id, place BIGINT (from 0)
    """
    own, moved = (
        F.xxhash64("id", F.lit(f"mine_negatives.{what}"), F.lit(seed), F.lit(epoch))
        for what in ("place", "temperature")
    )
    start = derive_seed(seed, epoch) % n_walk
    within = F.col("before") + _share_of(own, F.col("n_points"))
    shift = _share_of(moved, F.lit(round(min(temperature, 1.0) * n_walk)))
    key = F.pmod(within + shift + F.lit(start), F.lit(n_walk))
    known = points.join(F.broadcast(order), on=F.col("cluster_id") == F.col("node_id"), how="inner")
    keyed = known.select(
        F.lit(epoch).alias("epoch"), "id", "cluster_id", key.alias("key"), own.alias("hash")
    )
    placed = numbered(keyed, "epoch", by_number("key", n_walk), ["hash", "id"])
    return placed.select("id", "cluster_id", "place")


def _share_of(hash_: Column, n: Column) -> Column:
    """Return a hash's share of n : from 0 to n - 1."""
    bits = F.shiftrightunsigned(hash_, 64 - _BITS)
    return F.shiftright(bits * n.cast("bigint"), _BITS)
