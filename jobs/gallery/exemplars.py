"""Exemplars: some nodes of the tree, and for each a few points that a sample kept and left out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from sklearn.feature_extraction.text import CountVectorizer

N_NODES = 24
LEAST_NODES = 8  # nodes of the level shown, if a level has so many
N_LARGEST = 36  # further nodes, of any level: those that stand out in the picture of the tree
READ_PER_NODE = 12  # points kept, and as many left out, whose texts name a node
_OF_GROUP = 3  # copies shown of one point
SEPARATOR = " · "  # between the terms of a name
_N_TERMS = 4
_TERM = r"(?u)\b[^\W\d_]{3,}\b"


def shown_nodes(allocations: pa.Table, sample: str) -> pd.DataFrame:
    """Choose nodes to show: from the largest to the smallest, at the highest level that has enough.

    Parameters
    ----------
    allocations : sample, level, node_id, n_points, quota

    Returns
    -------
    nodes : level, node_id, n_points, quota; the largest first
    """
    mine = allocations.to_pandas().query("sample == @sample and n_points > 0")
    counts = mine.groupby("level").size()
    level = max(counts.index[counts >= LEAST_NODES], default=counts.index.min())
    nodes = mine[mine["level"] == level].sort_values(
        ["n_points", "node_id"], ascending=[False, True]
    )
    places = np.unique(np.linspace(0, len(nodes) - 1, N_NODES).round().astype(int))
    shown: pd.DataFrame = nodes.iloc[places][["level", "node_id", "n_points", "quota"]]
    return shown


def largest_nodes(allocations: pa.Table, sample: str, shown: pd.DataFrame) -> pd.DataFrame:
    """Choose the largest nodes of all levels, besides those that are shown anyway.

    Parameters
    ----------
    allocations : sample, level, node_id, n_points, quota
    shown : level, node_id

    Returns
    -------
    nodes : level, node_id, n_points, quota; the largest first, a node before those below it
    """
    mine = allocations.to_pandas().query("sample == @sample and n_points > 0")
    mine = mine.sort_values(["n_points", "level", "node_id"], ascending=[False, False, True])
    mine = mine.head(N_LARGEST + len(shown))
    is_shown = pd.MultiIndex.from_frame(mine[["level", "node_id"]]).isin(
        pd.MultiIndex.from_frame(shown[["level", "node_id"]])
    )
    largest: pd.DataFrame = mine[~is_shown].head(N_LARGEST)
    return largest[["level", "node_id", "n_points", "quota"]]


def exemplars(assignments: DataFrame, drawn: DataFrame, nodes: pd.DataFrame) -> DataFrame:
    """Pick points of nodes: those admitted first, others by hash, and the ends of their leaves.

    Parameters
    ----------
    assignments : id, path, sq_distance
    drawn : id, position; of one sample, each id once
    nodes : level, node_id

    Returns
    -------
    points : id, level, node_id, kind (kept, left, closest or farthest), place
    """
    below, node = _below(assignments, nodes), ("level", "node_id")
    points = below.join(drawn.select("id", "position"), on="id", how="left")
    kind = F.when(F.col("position").isNotNull(), "kept").otherwise("left")
    order = ("position", F.xxhash64("id", F.lit("exemplars")), "id")
    turn = F.row_number().over(Window.partitionBy(*node, "kind").orderBy(*order))
    some = points.withColumn("kind", kind).withColumn("turn", turn)
    some = some.where(F.col("turn") <= READ_PER_NODE).withColumn("place", F.col("turn") - 1)
    columns = ("id", *node, "kind", "place")
    return some.select(*columns).unionByName(_ends(below).select(*columns))


def _ends(points: DataFrame) -> DataFrame:
    """Return the points closest to the centre of their leaf, and farthest from it, of each node.

    A point alone in its leaf is at its centre, and says nothing about the node: it comes last.

    Parameters
    ----------
    points : id, sq_distance, level, node_id
    """
    is_alone = (F.col("sq_distance") == 0).alias("is_alone")
    found = points.groupBy("level", "node_id").agg(
        F.min(F.struct(is_alone, "sq_distance", "id")).alias("closest"),
        F.max(F.struct("sq_distance", "id")).alias("farthest"),
    )
    ends = [
        F.struct(F.col(f"{kind}.id").alias("id"), F.lit(kind).alias("kind"))
        for kind in ("closest", "farthest")
    ]
    each = found.select("level", "node_id", F.explode(F.array(*ends)).alias("end"))
    return each.select("level", "node_id", "end.id", "end.kind", F.lit(0).alias("place"))


def _below(assignments: DataFrame, nodes: pd.DataFrame) -> DataFrame:
    """Return the points below nodes, once for each : id, sq_distance, level, node_id."""
    by_level: dict[int, list[int]] = {}
    for level, node in zip(nodes["level"].tolist(), nodes["node_id"].tolist(), strict=True):
        by_level.setdefault(level, []).append(node)
    of_levels = [
        F.when(
            (at := F.get("path", F.lit(level - 1))).isin(mine),
            F.struct(F.lit(level).alias("level"), at.alias("node_id")),
        )
        for level, mine in by_level.items()
    ]
    of_point = F.explode(F.array_compact(F.array(*of_levels))).alias("node")
    return assignments.select("id", "sq_distance", of_point).select(
        "id", "sq_distance", "node.level", "node.node_id"
    )


def few_turned_away(rows: DataFrame, n_shown: int) -> DataFrame:
    """Pick a few of what gates turned away, by hash, for every reason: whole groups of copies.

    Parameters
    ----------
    rows : id, beside_id, reason, detail
    n_shown : points that stay, for each reason, with up to three that do not; alone where none does

    Returns
    -------
    picked : the same, plus group, place
    """
    whose = F.coalesce("beside_id", "id")
    grouped = rows.withColumn("whose", whose)
    by_hash = (F.xxhash64("whose", F.lit("turned away")), "whose")
    group = F.dense_rank().over(Window.partitionBy("reason").orderBy(*by_hash)) - 1
    order = (F.xxhash64("id", F.lit("turned away")), "id")
    place = F.row_number().over(Window.partitionBy("reason", "whose").orderBy(*order)) - 1
    few = grouped.withColumn("group", group).where(F.col("group") < n_shown)
    few = few.withColumn("place", place).where(F.col("place") < _OF_GROUP)
    return few.drop("whose")


def names(texts: Sequence[str]) -> list[str]:
    """Name documents by their most characteristic terms: class-based TF-IDF.

    Source: Grootendorst, "BERTopic" (arXiv 2203.05794), equation 1.

    Parameters
    ----------
    texts : one of each node, all its texts joined

    Returns
    -------
    names : a few words each; empty where there are none
    """
    counter = CountVectorizer(token_pattern=_TERM, max_features=20_000)
    try:
        counts = counter.fit_transform(texts).toarray().astype(float)
    except ValueError:  # no words at all
        return ["" for _ in texts]
    n_words = counts.sum(axis=1, keepdims=True)
    weights = np.log1p(n_words.mean() / counts.sum(axis=0))
    scores = counts / np.maximum(n_words, 1) * weights
    words = counter.get_feature_names_out()
    best = np.argsort(-scores, axis=1, kind="stable")[:, :_N_TERMS]
    return [
        SEPARATOR.join(words[j] for j in mine if scores[i, j] > 0) for i, mine in enumerate(best)
    ]
