"""Report what curation did to the pool, beside a uniform draw of the same size.

Reads    embeddings, metadata, rejects, nodes, assignments, samples, allocations
Writes   report: one measure a row; artifacts: one self-contained HTML page
Method   balance over the tree's nodes, coverage on an independent clustering, balance over labels
Run      evenlake report --config conf/quickstart.yaml
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from jobs.lake.command import job_main
from jobs.lake.config import RunConfig, as_public_dict
from jobs.lake.runs import Metrics, Run, code_version, open_run
from jobs.reporting.coverage import IndependentNodes, cluster_independently, measure_coverage
from jobs.reporting.page import PageContext, render_page
from jobs.reporting.page import headlines as page_headlines
from jobs.reporting.rows import Row, balance_rows, figure_rows, label_rows
from udfs.kernels.grid import to_grid
from udfs.kernels.hashing import derive_seed
from udfs.kernels.measures import effective_number

STAGE = "report_curation"
PAGE = "report.html"
EVALUATED_ROWS = 20_000  # hash sample of the pool that coverage looks at
MAX_COMPARED = 100_000  # sampled points that coverage compares with, by hash when more
GIANT_SHARE = 0.5  # of the pool in one node: worth a warning
_NEIGHBOURS = 5


def run(spark: SparkSession, config: RunConfig, *, within: Run | None = None) -> Metrics:
    """Report on the samples, or reuse the report that is there.

    Raises
    ------
    ConfigError
        If the samples have not been drawn yet.
    """
    this = within or open_run(spark, config)
    this.figures("balance_sample")
    return this.stage(STAGE, lambda: _report(this))


def _report(this: Run) -> Metrics:
    # 1. the uniform control: the ids with the smallest hashes, as many as the largest sample
    assignments = this.lake.read("assignments", this.keys["cluster_levels"]).select("id", "leaf_id")
    controls = _ranked_by_hash(assignments, "report.control", this.config.seed, _largest(this))
    controls = controls.persist()
    # 2. measures
    rows = _size_rows(this) + _tree_rows(this) + _node_rows(this, controls)
    points = _EvaluatedPoints(this, controls)
    rows += points.coverage_rows()
    if this.config.report.label is not None:
        rows += points.label_rows(this.config.report.label)
    controls.unpersist()
    # 3. the table and the page
    names = (
        "sample string, section string, level int, key string, x double, metric string, "
        "value double, control double"
    )
    table = this.spark.createDataFrame(rows, names)
    n_rows = this.write("report", table.withColumn("run_id", F.lit(this.run_id)), STAGE)
    page = render_page(_page_context(this)).encode()
    content = (PAGE, "text/html", hashlib.sha256(page).hexdigest(), bytearray(page))
    names = "name string, media_type string, sha256 string, content binary"
    this.write("artifacts", this.spark.createDataFrame([content], names), STAGE)
    return {"n_rows": n_rows} | _headline_figures(rows)


def _headline_figures(rows: list[Row]) -> Metrics:
    """Give the measures that `runs` keeps."""
    kept = {("coverage", "coverage_distance"), ("labels", "kl_uniform"), ("balance", "kl_uniform")}
    figures: Metrics = {}
    for row in rows:
        if (row.section, row.metric) in kept and row.sample is not None and row.level in (None, 1):
            figures[f"{row.sample}.{row.section}.{row.metric}"] = row.value
            if row.control is not None:
                figures[f"{row.sample}.{row.section}.{row.metric}.control"] = row.control
    return figures


def _size_rows(this: Run) -> list[Row]:
    embedded, drawn = this.figures("embed_pool"), this.figures("balance_sample")
    sizes = {name: embedded[name] for name in ("n_pool", "n_rejected", "n_points")}
    rows = figure_rows("size", None, sizes)
    for s in this.config.samples:
        size = {"n_sampled": drawn[f"n_{s.name}"], "target_size": float(s.target_size)}
        rows += figure_rows("size", s.name, size)
    rejects = this.lake.read("rejects", this.keys["embed_pool"]).groupBy("reason").count().collect()
    rows += [
        Row(None, "rejects", None, r.reason, None, "n_rows", float(r["count"])) for r in rejects
    ]
    return rows


def _tree_rows(this: Run) -> list[Row]:
    nodes = this.lake.read("nodes", this.keys["cluster_levels"])
    clustered = this.figures("cluster_levels")
    by_level = nodes.groupBy("level").agg(
        F.count("*").cast("double").alias("n_nodes"),
        (F.max("n_points") / F.sum("n_points")).alias("largest_node_share"),
        F.avg((F.col("n_children") == 1).cast("double")).alias("single_child_share"),
    )
    rows: list[Row] = []
    for r in by_level.orderBy("level").collect():
        figures = {k: r[k] for k in ("n_nodes", "largest_node_share", "single_child_share")}
        figures["n_empty"] = clustered[f"n_empty_{r.level}"]
        rows += figure_rows("tree", None, figures, level=r.level)
    return rows


def _node_rows(this: Run, controls: DataFrame) -> list[Row]:
    """Measure balance over every level's nodes: pool, samples and controls."""
    nodes = this.lake.read("nodes", this.keys["cluster_levels"])
    table = (
        nodes.select("level", "node_id", "parent_id", "n_points")
        .orderBy("level", "node_id")
        .toPandas()
    )
    levels = [part for _, part in table.groupby("level")]
    quotas = this.lake.read("allocations", this.keys["balance_sample"]).toPandas()
    rows: list[Row] = []
    for t, level in enumerate(levels, start=1):
        rows += balance_rows(t, None, level["n_points"].to_numpy(np.int64))
    for s in this.config.samples:
        taken = controls.where(F.col("rank") < _size(this, s.name)).groupBy("leaf_id").count()
        leaves = taken.toPandas()
        control = np.zeros(len(levels[0]), np.int64)
        control[leaves["leaf_id"]] = leaves["count"]
        mine = quotas[quotas["sample"] == s.name]
        for t, level in enumerate(levels, start=1):
            at_level = mine[mine["level"] == t].sort_values("node_id")
            rows += balance_rows(t, s.name, at_level["quota"].to_numpy(np.int64), control)
            if t < len(levels):
                above = np.zeros(len(levels[t]), np.int64)
                np.add.at(above, level["parent_id"].to_numpy(np.int64), control)
                control = above
    return rows


def _size(this: Run, sample: str) -> int:
    return int(this.figures("balance_sample")[f"n_{sample}"])


def _largest(this: Run) -> int:
    return max(_size(this, s.name) for s in this.config.samples)


def _ranked_by_hash(rows: DataFrame, salt: str, seed: int, n_rows: int) -> DataFrame:
    """Give the rows with the smallest hashes of their id, with their 0-based rank."""
    hashed = rows.withColumn("hash", F.xxhash64("id", F.lit(salt), F.lit(seed)))
    ordered = hashed.orderBy("hash", "id").limit(n_rows)
    spark = rows.sparkSession
    table = ordered.select(*rows.columns).toArrow()
    ranked = table.append_column("rank", [np.arange(table.num_rows)])
    return spark.createDataFrame(ranked)


class _EvaluatedPoints:
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
            n = _size(self.this, s.name)
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
            uniform = self.controls.where(F.col("rank") < _size(this, s.name)).select("id")
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


def _page_context(this: Run) -> PageContext:
    rows = this.lake.read("report", this.keys[STAGE]).drop("run_id").toPandas()
    config = yaml.safe_dump(as_public_dict(this.config), sort_keys=False)
    n_points = int(this.figures("embed_pool")["n_points"])
    samples = [
        {
            "name": s.name,
            "table": this.lake.address(f"sample_{s.name}"),
            "n_rows": _size(this, s.name),
            "target_size": s.target_size,
            "strategy": s.strategy,
            "reason": None
            if _size(this, s.name) == s.target_size
            else f"the pool has {n_points} points, {s.replicas} replicas at most",
        }
        for s in this.config.samples
    ]
    tables = ("embeddings", "rejects", "nodes", "assignments", "samples", "report", "runs")
    return PageContext(
        run_id=this.run_id,
        title=this.pool.name,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        rows=rows.astype({"level": "float64"}),
        samples=samples,
        config_yaml=config,
        inputs={this.pool.name: this.pool.fingerprint},
        tables={table: this.lake.address(table) for table in tables},
        notes=_notes(this, rows),
        code_version=code_version(),
    )


def _notes(this: Run, rows: pd.DataFrame) -> list[str]:
    """Say what a user should not overlook."""
    notes = []
    for s in this.config.samples:
        mine = rows[(rows["sample"] == s.name) & (rows["metric"] == "coverage_distance")]
        if len(mine) and (mine["value"] > mine["control"]).all():
            notes.append(
                f"{s.name} covers the pool worse than a uniform sample of its size: the levels do "
                "not fit the data; try fewer or larger cluster.levels, or a share.leaves above 0"
            )
        if _size(this, s.name) < s.target_size:
            notes.append(
                f"{s.name} has {_size(this, s.name)} rows, not {s.target_size}: that is the whole "
                "pool; lower target_size, or raise replicas"
            )
    tree = rows[(rows["section"] == "tree") & (rows["metric"] == "largest_node_share")]
    for level, share in zip(tree["level"], tree["value"], strict=True):
        if share > GIANT_SHARE:
            notes.append(
                f"one node of level {level:.0f} holds {share:.0%} of the pool: too few nodes for "
                "unrelated concepts; raise that level or drop it"
            )
    return notes


def headlines(this: Run) -> list[str]:
    """Give one sentence per sample, the balance before and after, then the warnings."""
    context = _page_context(this)
    return page_headlines(context) + [f"warning: {note}" for note in context.notes]


def export_page(this: Run) -> str:
    """Write the page beside the tables where the root is a local folder; give its address.

    Elsewhere the page stays in the ``artifacts`` table, which always has it.
    """
    root = this.config.output.root
    uri = urlparse(root or "")
    if root is None or uri.scheme not in ("", "file"):
        return f"{this.lake.address('artifacts')} (name = {PAGE!r}, stage_key = {this.keys[STAGE]})"
    stored = this.lake.read("artifacts", this.keys[STAGE]).where(F.col("name") == PAGE)
    path = Path(uri.path if uri.scheme else root).absolute() / "reports" / f"{this.run_id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(stored.select("content").collect()[0].content))
    return str(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Report on the samples."""
    return job_main(run, argv, name="report")


if __name__ == "__main__":
    sys.exit(main())
