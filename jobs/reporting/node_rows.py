"""Measures over the tree's nodes: sizes, the tree itself, balance before and after."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.reporting.rows import Row, balance_rows, figure_rows
from jobs.runs.run import Run
from jobs.tables.levels import read_by_level


def size_rows(this: Run) -> list[Row]:
    """Measure pool, points, samples and rejects."""
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


def tree_rows(this: Run) -> list[Row]:
    """Measure the tree itself, level by level."""
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


def node_rows(this: Run, controls: DataFrame) -> list[Row]:
    """Measure balance over every level's nodes: pool, samples and controls."""
    nodes = this.lake.read("nodes", this.keys["cluster_levels"])
    parents = F.coalesce("parent_id", F.lit(0)).alias("parents")
    levels = read_by_level(nodes.select("level", "node_id", parents, "n_points"))
    allocations = this.lake.read("allocations", this.keys["balance_sample"])
    rows: list[Row] = []
    for t, level in enumerate(levels, start=1):
        rows += balance_rows(t, None, level["n_points"])
    for s in this.config.samples:
        taken = controls.where(F.col("rank") < sample_size(this, s.name)).groupBy("leaf_id").count()
        leaves = taken.toArrow()
        control = np.zeros(len(levels[0]["n_points"]), np.int64)
        control[leaves["leaf_id"].to_numpy()] = leaves["count"].to_numpy()
        mine = allocations.where(F.col("sample") == s.name).select("level", "node_id", "quota")
        for t, quotas in enumerate(read_by_level(mine), start=1):
            rows += balance_rows(t, s.name, quotas["quota"], control)
            if t < len(levels):
                above = np.zeros(len(levels[t]["n_points"]), np.int64)
                np.add.at(above, levels[t - 1]["parents"], control)
                control = above
    return rows


def sample_size(this: Run, sample: str) -> int:
    """Return the rows of a drawn sample."""
    return int(this.figures("balance_sample")[f"n_{sample}"])
