"""Measures over labelled points: how evenly labels spread, and how well they follow the vectors."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.neighbors import KNeighborsClassifier

from jobs.points.hash_sample import sample_rows, vectors_of
from jobs.reporting.node_rows import sample_size
from jobs.reporting.rows import Row, figure_rows, label_rows
from jobs.runs.run import Run

CLASSIFIED_ROWS = 20_000  # hash sample of the pool
_NEIGHBOURS = 5


def label_point_rows(this: Run, controls: DataFrame, label: str) -> list[Row]:
    """Measure balance over labels, and how well labels follow the embedding.

    Parameters
    ----------
    controls : id, rank: a uniform draw
    """
    described = this.lake.read("metadata", this.keys["embed_pool"]).select(
        "id", F.coalesce(F.col("metadata")[label], F.lit("(none)")).alias("label")
    )
    pool = _label_counts(described)
    labels = sorted(pool, key=lambda name: (-pool[name], name))
    rows = label_rows(None, pool, None, labels)
    drawn = this.lake.read("samples", this.keys["balance_sample"])
    for s in this.config.samples:
        mine = drawn.where(F.col("sample") == s.name).select("id")
        uniform = controls.where(F.col("rank") < sample_size(this, s.name)).select("id")
        counts, control = (
            _label_counts(ids.join(described, on="id", how="inner")) for ids in (mine, uniform)
        )
        rows += label_rows(s.name, counts, control, labels)
    accuracy = _knn_accuracy(this, described)
    return rows + figure_rows("labels", None, {"knn_accuracy": accuracy})


def _knn_accuracy(this: Run, described: DataFrame) -> float:
    """Classify one half of a hash sample by its neighbours in the other."""
    embeddings = this.lake.read("embeddings", this.keys["embed_pool"]).select("id", "embedding")
    n_points = int(this.figures("embed_pool")["n_points"])
    wanted, seed = [("report.classified", CLASSIFIED_ROWS)], this.config.seed
    (points,) = sample_rows(embeddings, wanted, n_points, seed=seed)
    (labels,) = sample_rows(described, wanted, n_points, seed=seed)
    X = vectors_of(points, this.figures("cluster_levels")["grid_unit"])
    y = np.array(labels["label"].to_pylist())  # in the same order, as the hashes are of the ids
    neighbours = KNeighborsClassifier(min(_NEIGHBOURS, max(1, len(X) // 2)))
    if len(X) < 2:
        return float("nan")
    return float(neighbours.fit(X[::2], y[::2]).score(X[1::2], y[1::2]))


def _label_counts(described: DataFrame) -> dict[str, int]:
    return {row.label: row["count"] for row in described.groupBy("label").count().collect()}
