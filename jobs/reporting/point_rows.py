"""Measures over points: coverage on an independent clustering, balance over labels."""

import os

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from jobs.lake.runs import Run
from jobs.reporting.coverage import IndependentNodes, cluster_independently, measure_coverage
from jobs.reporting.node_rows import sample_size
from jobs.reporting.rows import Row, figure_rows, label_rows
from udfs.kernels.grid import to_grid
from udfs.kernels.hashing import derive_seed
from udfs.kernels.measures import effective_number

EVALUATED_ROWS = 20_000  # hash sample of the pool that coverage looks at
MAX_COMPARED = 100_000  # sampled points that coverage compares with, by hash when more
_NEIGHBOURS = 5


class EvaluatedPoints:
    """A hash sample of the pool on the driver, and what samples and controls look like from it."""

    def __init__(self, this: Run, controls: DataFrame) -> None:
        self.this, self.controls = this, controls
        self.unit = this.figures("cluster_levels")["grid_unit"]
        self.n_threads = os.cpu_count() or 1
        self.embeddings = this.lake.read("embeddings", this.keys["embed_pool"]).select(
            "id", "embedding"
        )
        salted = F.xxhash64("id", F.lit("report.evaluated"), F.lit(this.config.seed))
        chosen = self.embeddings.orderBy(salted, "id").limit(EVALUATED_ROWS)
        self.ids, points = self._collected(chosen)
        with threadpool_limits(1):
            seed = derive_seed(this.config.seed, 1)
            self.nodes: IndependentNodes = cluster_independently(
                points, seed=seed, n_threads=self.n_threads
            )

    def _collected(self, rows: DataFrame) -> tuple[list[object], NDArray[np.float32]]:
        """Bring embeddings to the driver, on the grid : ids, (n, n_features) float32."""
        table = rows.select("id", "embedding").toArrow()
        values = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        X = values.reshape(table.num_rows, -1)
        return table["id"].to_pylist(), to_grid(X, self.unit)

    def coverage_rows(self) -> list[Row]:
        """Measure every sample and its control against the independent nodes."""
        counts = np.bincount(self.nodes.labels, minlength=self.nodes.n_nodes)
        pool = {"n_nodes": float(self.nodes.n_nodes)}
        pool["effective_nodes"] = effective_number(counts)
        rows = figure_rows("coverage", None, pool)
        for s in self.this.config.samples:
            n = sample_size(self.this, s.name)
            drawn = self.this.lake.read("samples", self.this.keys["balance_sample"])
            mine = drawn.where((F.col("sample") == s.name) & (F.col("replica") == 0)).select("id")
            uniform = self.controls.where(F.col("rank") < n).select("id")
            rows += figure_rows(
                "coverage", s.name, self._measure(mine), control=self._measure(uniform)
            )
        return rows

    def _measure(self, ids: DataFrame) -> dict[str, float]:
        salted = F.xxhash64("id", F.lit("report.compared"), F.lit(self.this.config.seed))
        compared = ids.orderBy(salted, "id").limit(MAX_COMPARED)
        _, sampled = self._collected(self.embeddings.join(compared, on="id", how="leftsemi"))
        with threadpool_limits(1):
            figures = measure_coverage(self.nodes, sampled, n_threads=self.n_threads)
        return figures | {"coverage_distance": figures["coverage_distance"] * self.unit}

    def label_rows(self, label: str) -> list[Row]:
        """Measure balance over labels, and how well labels follow the embedding."""
        this = self.this
        described = this.lake.read("metadata", this.keys["embed_pool"]).select(
            "id", F.coalesce(F.col("metadata")[label], F.lit("(none)")).alias("label")
        )
        pool = _label_counts(described)
        labels = sorted(pool, key=lambda name: (-pool[name], name))
        rows = label_rows(None, pool, None, labels)
        drawn = this.lake.read("samples", this.keys["balance_sample"])
        for s in this.config.samples:
            mine = drawn.where(F.col("sample") == s.name).select("id")
            uniform = self.controls.where(F.col("rank") < sample_size(this, s.name)).select("id")
            counts, control = (
                _label_counts(ids.join(described, on="id", how="inner")) for ids in (mine, uniform)
            )
            rows += label_rows(s.name, counts, control, labels)
        accuracy = self._knn_accuracy(described)
        return rows + figure_rows("labels", None, {"knn_accuracy": accuracy})

    def _knn_accuracy(self, described: DataFrame) -> float:
        """Classify one half of the hash sample by its neighbours in the other."""
        salted = F.xxhash64("id", F.lit("report.evaluated"), F.lit(self.this.config.seed))
        chosen = described.orderBy(salted, "id").limit(EVALUATED_ROWS).toPandas()
        label_of = dict(zip(chosen["id"], chosen["label"], strict=True))
        y = np.array([label_of[i] for i in self.ids])
        X = self.nodes.points
        neighbours = KNeighborsClassifier(min(_NEIGHBOURS, max(1, len(X) // 2)))
        if len(X) < 2:
            return float("nan")
        return float(neighbours.fit(X[::2], y[::2]).score(X[1::2], y[1::2]))


def _label_counts(described: DataFrame) -> dict[str, int]:
    return {row.label: row["count"] for row in described.groupBy("label").count().collect()}
