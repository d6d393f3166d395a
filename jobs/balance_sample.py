"""Draw balanced samples from the tree: quotas go down it, ranked points fill the leaves.

Reads    nodes, assignments
Writes   samples: who is in which sample; allocations: every node's capacity and quota;
         sample_<name>: the published sample, replaced in one commit
Method   arXiv 2405.15613, section 3.4, generalised: see ``udfs.kernels.quotas``
Run      evenlake sample --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.lake.command import job_main
from jobs.lake.config import RunConfig, SampleConfig
from jobs.lake.errors import ConfigError
from jobs.lake.keys import lineage
from jobs.lake.levels import read_by_level
from jobs.lake.runs import Metrics, Run, open_run
from udfs.kernels.hashing import derive_seed, hash_keys
from udfs.kernels.quotas import divide_quotas, share_weights

STAGE = "balance_sample"


@dataclass(frozen=True)
class TreeLevel:
    """What quotas need of one level, columns over its nodes : (n_nodes,) int64 each.

    ``parents`` are 0 at the top, below the one root.
    """

    parents: NDArray[np.int64]
    n_leaves: NDArray[np.int64]
    n_points: NDArray[np.int64]


def quotas_down(
    levels: list[TreeLevel], sample: SampleConfig, seed: int
) -> list[NDArray[np.int64]]:
    """Give every node's quota.

    Parameters
    ----------
    levels : leaves first

    Returns
    -------
    quotas : one (n_nodes,) int64 per level, leaves first
    """
    quotas = [np.array([sample.target_size], dtype=np.int64)]
    for t in range(len(levels), 0, -1):
        level = levels[t - 1]
        weights = share_weights(
            level.n_leaves, level.n_points, leaves=sample.share.leaves, points=sample.share.points
        )
        order = hash_keys(derive_seed(seed, t), np.arange(len(weights)))
        capacities = level.n_points * sample.replicas
        quotas.insert(0, divide_quotas(quotas[0], level.parents, weights, capacities, order))
    return quotas[:-1]


def read_levels(nodes: DataFrame) -> list[TreeLevel]:
    """Bring the tree's columns to the driver, leaves first; the centroids stay."""
    parents = F.coalesce("parent_id", F.lit(0)).alias("parents")
    columns = nodes.select("level", "node_id", parents, "n_leaves", "n_points")
    return [TreeLevel(**level) for level in read_by_level(columns)]


def draw_points(
    assignments: DataFrame, quotas: DataFrame, *, strategy: str, seed: int
) -> DataFrame:
    """Fill every leaf's quota with its first points by rank; replicas come after all points.

    Parameters
    ----------
    assignments : id, leaf_id, sq_distance
    quotas : sample, leaf_id, quota, capacity of the leaf in points

    Returns
    -------
    drawn : sample, id, leaf_id, replica, rank
    """
    by_leaf = Window.partitionBy("leaf_id").orderBy(_rank_key(strategy, seed), "id")
    ranked = assignments.withColumn("position", F.row_number().over(by_leaf) - 1)
    # the point at this position stands in the sample once per full turn that reaches it
    copies = F.ceil((F.col("quota") - F.col("position")) / F.col("n_points"))
    return (
        ranked.join(quotas, on="leaf_id", how="inner")
        .where(F.col("position") < F.col("quota"))
        .withColumn("replica", F.explode(F.sequence(F.lit(0), copies.cast("int") - 1)))
        .withColumn("rank", F.col("replica") * F.col("n_points") + F.col("position"))
        .select("sample", "id", "leaf_id", "replica", "rank")
    )


def _rank_key(strategy: str, seed: int) -> Column:
    if strategy == "closest":
        return F.col("sq_distance")
    return F.xxhash64("id", F.lit("balance_sample"), F.lit(seed))


def run(spark: SparkSession, config: RunConfig, *, within: Run | None = None) -> Metrics:
    """Draw the samples, or reuse those that are there.

    Raises
    ------
    ConfigError
        If there is no tree yet.
    """
    this = within or open_run(spark, config)
    this.figures("cluster_levels")
    return this.stage(STAGE, lambda: _balance(this))


def _balance(this: Run) -> Metrics:
    tree_key = this.keys["cluster_levels"]
    samples = this.config.samples
    # 1. quotas, from the top of the tree down to its leaves
    levels = read_levels(this.lake.read("nodes", tree_key))
    quotas = {s.name: quotas_down(levels, s, this.config.seed) for s in samples}
    this.write(
        "allocations", this.spark.createDataFrame(_allocations(samples, levels, quotas)), STAGE
    )
    # 2. points, by rank inside their leaf
    assignments = this.lake.read("assignments", tree_key)
    drawn = None
    for strategy in sorted({s.strategy for s in samples}):
        mine = [s for s in samples if s.strategy == strategy]
        wanted = this.spark.createDataFrame(_leaf_quotas(mine, levels[0], quotas))
        part = draw_points(assignments, wanted, strategy=strategy, seed=this.config.seed)
        drawn = part if drawn is None else drawn.unionByName(part)
    assert drawn is not None  # the config wants at least one sample
    absent = {"pool_weight": F.lit(None), "reason": F.lit(None), "tree_key": F.lit(tree_key)}
    this.write("samples", drawn.withColumns(absent), STAGE)
    counts = {f"n_{name}": float(per_level[-1].sum()) for name, per_level in quotas.items()}
    return counts


def _allocations(
    samples: list[SampleConfig], levels: list[TreeLevel], quotas: dict[str, list[NDArray[np.int64]]]
) -> pa.Table:
    parts = []
    for sample in samples:
        for t, (level, quota) in enumerate(zip(levels, quotas[sample.name], strict=True), start=1):
            n_nodes = len(quota)
            parts.append(
                pa.table(
                    {
                        "sample": pa.array([sample.name]).take(pa.array(np.zeros(n_nodes, int))),
                        "level": pa.array(np.full(n_nodes, t, np.int32)),
                        "node_id": pa.array(np.arange(n_nodes)),
                        "capacity": pa.array(level.n_points * sample.replicas),
                        "quota": pa.array(quota),
                    }
                )
            )
    return pa.concat_tables(parts)


def _leaf_quotas(
    samples: list[SampleConfig], leaves: TreeLevel, quotas: dict[str, list[NDArray[np.int64]]]
) -> pa.Table:
    parts = []
    for sample in samples:
        quota = quotas[sample.name][0]
        filled = np.flatnonzero(quota)
        parts.append(
            pa.table(
                {
                    "sample": pa.array([sample.name]).take(pa.array(np.zeros(len(filled), int))),
                    "leaf_id": pa.array(filled),
                    "quota": pa.array(quota[filled]),
                    "n_points": pa.array(leaves.n_points[filled]),
                }
            )
        )
    return pa.concat_tables(parts)


def require_publishable(this: Run) -> None:
    """Refuse to overwrite a published sample of another config, or a table that is none.

    Raises
    ------
    ConfigError
        Unless the run was told to replace such samples.
    """
    mine = lineage(this.config)
    for sample in this.config.samples:
        table = f"sample_{sample.name}"
        if this.replaces_samples or not this.lake.exists(table):
            continue
        owner = this.lake.last_metadata(table).get("lineage")
        if owner is None:
            raise ConfigError(
                f"{table} is there and no published sample; name this sample otherwise, or say "
                "--replace-sample"
            )
        if owner != mine:
            raise ConfigError(
                f"{table} was published by another config (lineage {owner}, this one is {mine}); "
                "name this sample otherwise, or say --replace-sample"
            )


def publish_samples(this: Run) -> None:
    """Replace every ``sample_<name>`` by this run's sample, each in one commit."""
    paths = this.lake.read("assignments", this.keys["cluster_levels"]).select("id", "path")
    drawn = this.lake.read("samples", this.keys[STAGE])
    mark = {"lineage": lineage(this.config), "run_id": this.run_id, "stage_key": this.keys[STAGE]}
    for sample in this.config.samples:
        table = f"sample_{sample.name}"
        if this.lake.last_metadata(table) == mark and not this.is_refresh:
            continue  # published by an earlier run of the same content
        rows = drawn.where(F.col("sample") == sample.name).join(paths, on="id", how="inner")
        columns = ("id", "leaf_id", "path", "replica", "rank", "pool_weight")
        this.lake.publish(table, rows.select(*columns), mark)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw balanced samples from the tree."""
    return job_main(run, argv, name="sample")


if __name__ == "__main__":
    sys.exit(main())
