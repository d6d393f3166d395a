"""Draw balanced samples from the tree: quotas go down it, ranked points fill the leaves.

Reads    nodes, assignments
Writes   samples: which points are in which sample, in which order; allocations: every node's
         capacity and quota; under `curate`, sample_<name>: the published sample
Method   arXiv 2405.15613, section 3.4, generalised: see ``udfs.kernels.sampling.allocation``
Run      evenlake sample --config conf/quickstart.yaml
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import cluster_levels
from jobs.config.errors import ConfigError
from jobs.config.kinds import POOL
from jobs.config.model import RunConfig
from jobs.planning import costs
from jobs.points.ranks import ranked
from jobs.points.surviving import surviving
from jobs.pool.ids import Id, is_id
from jobs.reporting.explanation import Explanation, Node, Place
from jobs.reporting.rows import Row
from jobs.reporting.size_rows import sample_size_rows
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome, per
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Rows, Work
from jobs.sampling.drawing import draw_points
from jobs.sampling.shares import Share, read_levels
from jobs.tables.table import GENERATION, Table

log = logging.getLogger(__name__)

ALLOCATIONS = Table(
    "allocations", "sample STRING, level INT, node_id BIGINT, capacity BIGINT, quota BIGINT"
)
SAMPLES = Table(
    "samples",
    "tree_key STRING, sample STRING, id {id}, leaf_id BIGINT, replica INT, rank INT, "
    "position BIGINT DEFAULT NULL, pool_weight DOUBLE DEFAULT NULL, reason STRING DEFAULT NULL, "
    f"{GENERATION}",
    not_content=("tree_key",),
)
FETCHED_ROWS = 500_000  # over all samples: up to this many are drawn once, and kept in memory


@dataclass(frozen=True, kw_only=True)
class Drawn(Outcome):
    """The number of rows in every sample."""

    sizes: dict[str, int] = per("n_{}")


def _balance(this: Work) -> Drawn:
    tree, samples = cluster_levels.STAGE, this.config.samples
    # 1. quotas, from the top of the tree down to its leaves
    columns = ("level", "node_id", "parent_id", "n_leaves", "n_points")
    levels = read_levels(this.run.fetch(tree, cluster_levels.NODES, columns))
    shares = [Share(sample, levels, this.config.seed) for sample in samples]
    # 2. points, by rank within their leaf
    assignments = this.run.read(tree, cluster_levels.ASSIGNMENTS)
    parts = []
    for strategy in sorted({s.strategy for s in samples}):
        mine = [share.of_leaves() for share in shares if share.sample.strategy == strategy]
        wanted = this.spark.createDataFrame(pa.concat_tables(mine))
        parts.append(draw_points(assignments, wanted, strategy=strategy, seed=this.config.seed))
    drawn = reduce(DataFrame.unionByName, parts).withColumn("tree_key", F.lit(this.run.key(tree)))
    sizes = {share.sample.name: share.size for share in shares}
    rows: Rows = drawn
    if sum(sizes.values()) <= FETCHED_ROWS:
        rows = drawn.toArrow()
    allocations = pa.concat_tables([share.allocations() for share in shares])
    this.write_all({ALLOCATIONS: allocations, SAMPLES: rows})
    return Drawn(sizes=sizes)


def _report(run: Run) -> list[Row]:
    return sample_size_rows(run.outcome(STAGE).sizes, run.config.samples)


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the quotas of a point's nodes, and its place in every sample."""
    nodes = _with_quotas(run, so_far.path)
    leaf, samples = nodes[0], run.config.samples
    mine = run.read(STAGE, SAMPLES).where(is_id(id_))
    drawn = mine.select("sample", "replica").orderBy("replica").collect()
    in_leaf = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).where(
        F.col("leaf_id") == leaf.node_id
    )
    ranks = _ranks(run, in_leaf, id_)
    places = []
    for sample in samples:
        replicas = [row.replica for row in drawn if row.sample == sample.name]
        rank, quota = ranks[sample.strategy], leaf.quotas[sample.name]
        why_not = None if replicas else f"rank {rank}, its leaf's quota is {quota}"
        places.append(Place(sample.name, replicas, rank, why_not))
    return replace(so_far, path=nodes, samples=places)


def _with_quotas(run: Run, path: Sequence[Node]) -> list[Node]:
    is_on_path = reduce(
        or_, ((F.col("level") == n.level) & (F.col("node_id") == n.node_id) for n in path)
    )
    rows = run.read(STAGE, ALLOCATIONS).where(is_on_path).select("level", "sample", "quota")
    quotas = {(row.level, row.sample): row.quota for row in rows.collect()}
    names = [sample.name for sample in run.config.samples]
    return [replace(n, quotas={name: quotas[n.level, name] for name in names}) for n in path]


def _ranks(run: Run, leaf: DataFrame, id_: Id) -> dict[str, int]:
    """Return a point's rank in its leaf by strategy."""
    found = []
    for strategy in sorted({sample.strategy for sample in run.config.samples}):
        points = ranked(leaf, strategy=strategy, seed=run.config.seed)
        mine = points.where(is_id(id_))
        found.append(mine.select(F.lit(strategy).alias("strategy"), "place"))
    return {row.strategy: row.place for row in reduce(DataFrame.unionByName, found).collect()}


def ids_of(run: Run, source: str) -> DataFrame:
    """Return the ids of the pool's points, or of a sample's : id, each once."""
    if source == POOL:
        return surviving(run, "id")
    samples = run.read(STAGE, SAMPLES)
    return samples.where((F.col("sample") == source) & (F.col("replica") == 0)).select("id")


def require_source(run: Run, key: str, source: str | None) -> None:
    """Refuse a source that is neither the pool nor a sample of the config.

    Parameters
    ----------
    key : of the config, that names it

    Raises
    ------
    ConfigError
    """
    names = [sample.name for sample in run.written.samples]
    if source not in (POOL, *names):
        raise ConfigError(
            f"{key}={source!r}: want {POOL}, or the name of a sample: {', '.join(names)}"
        )


STAGE = Stage(
    name="balance_sample",
    version=2,
    after=(cluster_levels.STAGE,),
    reads=("seed", "samples"),
    command="sample",
    summary="Draw balanced samples from the tree.",
    tables=(ALLOCATIONS, SAMPLES),
    outcome=Drawn,
    work=_balance,
    cost=costs.draw,
    report=_report,
    explain=_explain,
    publishes=lambda drawn: drawn.sizes,
)


def run(spark: SparkSession, config: RunConfig) -> Drawn:
    """Draw the samples, or reuse existing ones.

    Raises
    ------
    ConfigError
        If there is no tree yet.
    """
    return open_run(spark, config).do(STAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw balanced samples from the tree."""
    from jobs.cli.command import stage_main

    return stage_main(STAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
