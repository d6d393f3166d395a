"""Draw balanced samples from the tree: quotas go down it, ranked points fill the leaves.

Reads    nodes, assignments
Writes   samples: who is in which sample; allocations: every node's capacity and quota; when
         `curate` says so, sample_<name>: the published sample, replaced in one commit
Method   arXiv 2405.15613, section 3.4, generalised: see ``udfs.kernels.allocation``
Run      evenlake sample --config conf/quickstart.yaml
"""

import logging
import sys
from collections.abc import Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.cli.command import job_main
from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig, SampleConfig
from jobs.points.ranks import ranked
from jobs.runs.events import Metrics
from jobs.runs.keys import lineage
from jobs.runs.run import Run, open_run
from jobs.tables.levels import read_by_level
from udfs.kernels.allocation import TreeLevel, quotas_down

log = logging.getLogger(__name__)

STAGE = "balance_sample"


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
    points = ranked(assignments, strategy=strategy, seed=seed)
    # the point at this position stands in the sample once per full turn that reaches it
    copies = F.ceil((F.col("quota") - F.col("position")) / F.col("n_points"))
    return (
        points.join(quotas, on="leaf_id", how="inner")
        .where(F.col("position") < F.col("quota"))
        .withColumn("replica", F.explode(F.sequence(F.lit(0), copies.cast("int") - 1)))
        .withColumn("rank", F.col("replica") * F.col("n_points") + F.col("position"))
        .select("sample", "id", "leaf_id", "replica", "rank")
    )


def run(spark: SparkSession, config: RunConfig, *, within: Run | None = None) -> Metrics:
    """Draw the samples, or reuse those that are there.

    Raises
    ------
    ConfigError
        If there is no tree yet.
    """
    this = within or open_run(spark, config)
    this.settle()
    this.figures("cluster_levels")
    return this.stage(STAGE, lambda: _balance(this))


def _balance(this: Run) -> Metrics:
    tree_key = this.keys["cluster_levels"]
    samples = this.config.samples
    # 1. quotas, from the top of the tree down to its leaves
    levels = read_levels(this.lake.read("nodes", tree_key))
    quotas = {s.name: _quotas(levels, s, this.config.seed) for s in samples}
    allocations = this.spark.createDataFrame(_allocations(samples, levels, quotas))
    # 2. points, by rank inside their leaf
    assignments = this.lake.read("assignments", tree_key)
    parts = []
    for strategy in sorted({s.strategy for s in samples}):
        mine = [s for s in samples if s.strategy == strategy]
        wanted = this.spark.createDataFrame(_leaf_quotas(mine, levels[0], quotas))
        parts.append(draw_points(assignments, wanted, strategy=strategy, seed=this.config.seed))
    drawn = reduce(DataFrame.unionByName, parts)
    absent = {"pool_weight": F.lit(None), "reason": F.lit(None), "tree_key": F.lit(tree_key)}
    this.write_all({"allocations": allocations, "samples": drawn.withColumns(absent)}, STAGE)
    counts = {f"n_{name}": float(per_level[-1].sum()) for name, per_level in quotas.items()}
    return counts


def _quotas(levels: list[TreeLevel], sample: SampleConfig, seed: int) -> list[NDArray[np.int64]]:
    share = sample.share
    return quotas_down(
        levels,
        sample.target_size,
        leaves=share.power_of_leaves,
        points=share.points,
        replicas=sample.replicas,
        seed=seed,
    )


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
    mine = lineage(this.recipe)
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


def publish_samples(this: Run) -> list[str]:
    """Replace every ``sample_<name>`` by this run's sample, each in one commit.

    The sample of a run that began later stays: a driver that stood still for hours must not put
    yesterday's back.

    Returns
    -------
    passed_over : the samples that stayed

    Raises
    ------
    ConfigError
        If another config has published a sample of that name meanwhile.
    CurationError
        If what the run stands on was cleaned meanwhile.
    """
    require_publishable(this)
    this.require_kept()
    paths = this.lake.read("assignments", this.keys["cluster_levels"]).select("id", "path")
    drawn = this.lake.read("samples", this.keys[STAGE])
    mark = {"lineage": lineage(this.recipe), "run_id": this.run_id, "stage_key": this.keys[STAGE]}
    began = int(this.opened_at.timestamp() * 1e6)
    passed_over = []
    for sample in this.config.samples:
        table = f"sample_{sample.name}"
        if this.lake.last_metadata(table) == mark and not this.is_refresh:
            # by an earlier run of the same content; what began between the two comes too late now
            this.lake.publish(table, None, mark, version=began)
            continue
        rows = drawn.where(F.col("sample") == sample.name).join(paths, on="id", how="inner")
        columns = ("id", "leaf_id", "path", "replica", "rank", "pool_weight")
        this.lake.publish(table, rows.select(*columns), mark, version=began)
        if this.lake.last_metadata(table) != mark:
            log.warning("sample=%s stays: a run that began later published it", sample.name)
            passed_over.append(sample.name)
    return passed_over


def main(argv: Sequence[str] | None = None) -> int:
    """Draw balanced samples from the tree."""
    return job_main(run, argv, name="sample")


if __name__ == "__main__":
    sys.exit(main())
