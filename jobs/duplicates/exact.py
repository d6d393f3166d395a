"""Exact copies: points of the same content, in memory or in a DataFrame.

Contents are told apart by two 64-bit hashes. Either way copies are id, group_id, keeper_id and
cosine_similarity, the columns of ``duplicates``.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.duplicates.ranking import in_order
from jobs.spark.frames import as_frame
from udfs.kernels.exact.hashing import xxhash64_of
from udfs.near import Ranking

FOUND = ("id", "group_id", "keeper_id", "cosine_similarity")
_WORDS = 2  # 64-bit words in a content's hash


def group_ids(points: pa.Table) -> NDArray[np.int64]:
    """Return the number of each point's group, the points of the same content : (n,)."""
    return xxhash64_of(_hashes(points))


def _hashes(points: pa.Table) -> NDArray[np.uint64]:
    """Return hashes of contents : (n, 2), their bytes as two words."""
    contents = b"".join(points["content_hash"].to_pylist())
    return np.frombuffer(contents, "<u8").reshape(-1, _WORDS)


def copies_in(points: pa.Table, ranking: Ranking) -> pa.Table:
    """Return the copies among points in memory.

    Parameters
    ----------
    points : id, content_hash, rank if there is one
    """
    hashes = _hashes(points)
    by_hash = np.lexsort(hashes.T)
    is_new = np.append(True, np.diff(hashes[by_hash], axis=0).any(axis=1))[: len(hashes)]
    if is_new.all():
        return found(points.slice(0, 0), points.slice(0, 0))
    content = np.empty(len(hashes), np.int64)
    content[by_hash] = np.cumsum(is_new)
    order = ranking(points.append_column("content", pa.array(content)), "content")
    is_first = np.append(True, np.diff(content[order]) != 0)
    keeper = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    (copies,) = np.nonzero(~is_first)
    return found(*(points.take(pa.array(order[at])) for at in (copies, keeper[copies])))


def found(
    copies: pa.Table, keepers: pa.Table, cosine: NDArray[np.float64] | None = None
) -> pa.Table:
    """Return copies beside their keepers : (n,) ids and cosines -> rows of ``duplicates``."""
    similarity = np.ones(len(copies)) if cosine is None else cosine
    columns = (
        copies["id"],
        pa.array(group_ids(keepers)),
        keepers["id"],
        pa.array(similarity, pa.float32()),
    )
    return pa.table(dict(zip(FOUND, columns, strict=True)))


def copies_among(points: DataFrame, ranking: Ranking) -> DataFrame:
    """Return the copies among points in a DataFrame: id, content_hash, rank if there is one."""
    same = Window.partitionBy("content_hash")
    keeper = F.min("id").over(same)
    if "rank" in points.columns:
        whole = same.orderBy(*in_order(points, ranking)).rowsBetween(
            Window.unboundedPreceding, Window.unboundedFollowing
        )
        keeper = F.first("id").over(whole)
    copies = points.select("id", "content_hash", keeper.alias("keeper_id"))
    return copies.where(F.col("id") != F.col("keeper_id")).select(
        "id",
        F.xxhash64("content_hash").alias("group_id"),
        "keeper_id",
        F.lit(1.0).cast("float").alias("cosine_similarity"),
    )


def settled_in(copies: pa.Table, near: pa.Table) -> pa.Table:
    """Return all copies, exact and near: those whose keeper is a near copy go to its keeper."""
    at = pa.compute.index_in(copies["keeper_id"], near["id"].combine_chunks())
    columns = [copies["id"]]
    for name in FOUND[1:]:
        columns.append(pa.compute.coalesce(near[name].take(at), copies[name]))
    return pa.concat_tables([pa.table(dict(zip(FOUND, columns, strict=True))), near])


def settled_among(copies: DataFrame, near: pa.Table) -> DataFrame:
    """Return all copies, as ``settled_in`` does, of exact ones in a DataFrame."""
    others = as_frame(copies.sparkSession, near)
    named = others.withColumnsRenamed({name: f"near_{name}" for name in FOUND})
    joined = copies.join(named, on=F.col("keeper_id") == F.col("near_id"), how="left")
    moved = [F.coalesce(f"near_{name}", name).alias(name) for name in FOUND[1:]]
    return joined.select("id", *moved).unionByName(others)
