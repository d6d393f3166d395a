"""Exemplars: some nodes of the tree, and for each a few points that a sample kept and left out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from sklearn.feature_extraction.text import CountVectorizer

N_NODES = 24
LEAST_NODES = 8  # of the level that is shown, if one has so many
READ_PER_NODE = 30  # points kept, and as many left out: texts to name a node by
_N_TERMS = 4
_TERM = r"(?u)\b[^\W\d_]{3,}\b"


def shown_nodes(allocations: pa.Table, sample: str) -> pd.DataFrame:
    """Choose nodes to show: from the largest to the smallest, at the highest level that has enough.

    Parameters
    ----------
    allocations : sample, level, node_id, capacity, quota

    Returns
    -------
    nodes : level, node_id, capacity, quota; the largest first
    """
    mine = allocations.to_pandas().query("sample == @sample and capacity > 0")
    counts = mine.groupby("level").size()
    level = max(counts.index[counts >= LEAST_NODES], default=counts.index.min())
    nodes = mine[mine["level"] == level].sort_values(
        ["capacity", "node_id"], ascending=[False, True]
    )
    places = np.unique(np.linspace(0, len(nodes) - 1, N_NODES).round().astype(int))
    shown: pd.DataFrame = nodes.iloc[places][["level", "node_id", "capacity", "quota"]]
    return shown


def exemplars(assignments: DataFrame, drawn: DataFrame, nodes: pd.DataFrame) -> DataFrame:
    """Pick points of nodes: those that a sample admitted first, and others by hash.

    Parameters
    ----------
    assignments : id, path
    drawn : id, position; of one sample, each id once
    nodes : of ``shown_nodes``

    Returns
    -------
    points : id, node_id, is_kept, place
    """
    level = int(nodes["level"].iloc[0])
    node = F.get("path", F.lit(level - 1))
    points = assignments.select("id", node.alias("node_id"))
    points = points.where(F.col("node_id").isin(nodes["node_id"].tolist()))
    points = points.join(drawn.select("id", "position"), on="id", how="left")
    points = points.withColumn("is_kept", F.col("position").isNotNull())
    order = ("position", F.xxhash64("id", F.lit("exemplars")), "id")
    place = F.row_number().over(Window.partitionBy("node_id", "is_kept").orderBy(*order)) - 1
    picked = points.withColumn("place", place).where(F.col("place") < READ_PER_NODE)
    return picked.select("id", "node_id", "is_kept", "place")


def few_turned_away(rows: DataFrame, n_shown: int) -> DataFrame:
    """Pick a few of what gates turned away, by hash, for every reason.

    Parameters
    ----------
    rows : id, beside_id, reason, detail

    Returns
    -------
    picked : the same, plus place
    """
    order = (F.xxhash64("id", F.lit("turned away")), "id")
    place = F.row_number().over(Window.partitionBy("reason").orderBy(*order)) - 1
    return rows.withColumn("place", place).where(F.col("place") < n_shown)


def names(texts: Sequence[str]) -> list[str]:
    """Name documents by the terms that are most their own: class-based TF-IDF.

    Source: Grootendorst, "BERTopic" (arXiv 2203.05794), equation 1.

    Parameters
    ----------
    texts : one of each node, all its texts joined

    Returns
    -------
    names : some words each; empty where there are none
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
    return [" · ".join(words[j] for j in mine if scores[i, j] > 0) for i, mine in enumerate(best)]
