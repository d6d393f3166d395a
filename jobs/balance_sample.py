"""Draw balanced samples from the tree: quotas go down it, ranked points fill the leaves.

Reads    nodes, assignments
Writes   samples: which points are in which sample, in which order; allocations: every node's
         capacity and quota; under `curate`, sample_<name>: the published sample
Method   arXiv 2405.15613, section 3.4, generalised: see ``udfs.kernels.sampling.allocation``
Run      evenlake sample --config conf/quickstart.yaml
"""

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import cluster_levels, embed_pool, find_duplicates
from jobs.bounds.rules import rules_of
from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.planning import costs
from jobs.points.hash_sample import sample_rows
from jobs.points.ranks import ranked, ranked_farthest_first
from jobs.points.surviving import held, passed, places_of, sample_points, size_of, surviving
from jobs.pool.computing import say_why_code_failed
from jobs.pool.ids import Id, is_id
from jobs.reading.settings import settings_pinned
from jobs.reporting.rows import Row
from jobs.reporting.size_rows import sample_size_rows
from jobs.retrieval.seeds import Seeds
from jobs.runs.explanation import Explanation
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome, per
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Rows, Work
from jobs.sampling.beside import samples_identity, samples_pinned
from jobs.sampling.blending import UNIFORM, uniform_draws, with_blends
from jobs.sampling.candidates import anyone, candidates, same_candidates
from jobs.sampling.counts import all_points, count_candidates
from jobs.sampling.drawing import draw_points
from jobs.sampling.explained import placed, with_quotas
from jobs.sampling.planned import plan_sample
from jobs.sampling.reach import rows_for_coverage
from jobs.sampling.shares import Share, read_levels
from jobs.sampling.totals import rows_for_total
from jobs.sections.kinds import POOL
from jobs.sections.samples import CoverageConfig, IdsConfig, SampleConfig, TotalConfig
from jobs.spark.errors import SPARK_ERRORS
from jobs.tables.table import GENERATION, Table
from udfs.kernels.sampling.allocation import TreeLevel
from udfs.points import PointReader

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
FETCHED_ROWS = 500_000  # samples of up to this many rows in total are drawn once and kept in memory


@dataclass(frozen=True, kw_only=True)
class Drawn(Outcome):
    """The number of rows in every sample."""

    sizes: dict[str, int] = per("n_{}")


def _balance(this: Work) -> Drawn:
    """Draw; say which config key is at fault if an expression fails on some row."""
    try:
        return _all_drawn(this)
    except SPARK_ERRORS as error:
        fix = "fix the row, or write what holds for it too, such as try_cast(x as double)"
        say_why_code_failed(error, "samples", "samples", fix)
        raise


def _all_drawn(this: Work) -> Drawn:
    tree = cluster_levels.STAGE
    columns = ("level", "node_id", "parent_id", "n_leaves", "n_points")
    levels = read_levels(this.run.fetch(tree, cluster_levels.NODES, columns))
    parts, shares = [], []
    blends = [sample for sample in this.config.samples if sample.blend is not None]
    uniform = uniform_draws(blends, size_of(this.run).n_points)
    for samples in _grouped_by_ranking([*this.config.samples, *uniform]):
        # 1. quotas, from the top of the tree down to its leaves
        points = _seeds(this, samples[0]).picked(_candidates(this.run, samples[0]))
        theirs = _shares(this, samples, points, levels)
        # 2. points, by rank within their leaf
        parts.append(_drawn(this.run, points, theirs))
        shares += theirs
    drawn = reduce(DataFrame.unionByName, parts)
    sizes = {share.sample.name: share.size for share in shares}
    allocations = pa.concat_tables([share.allocations() for share in shares])
    # 3. blends of these
    if blends:
        drawn, allocations = with_blends(this, blends, drawn, allocations, levels)
        sizes |= {sample.name: sample.rows_of(size_of(this.run).n_points) for sample in blends}
        sizes.pop(UNIFORM, None)
    drawn = drawn.withColumn("tree_key", F.lit(this.run.key(tree)))
    rows: Rows = drawn.toArrow() if sum(sizes.values()) <= FETCHED_ROWS else drawn
    this.write_all({ALLOCATIONS: allocations, SAMPLES: rows})
    return Drawn(sizes=sizes)


def _grouped_by_ranking(samples: Sequence[SampleConfig]) -> Iterable[list[SampleConfig]]:
    """Group samples that rank the same points in the same order; blends rank none."""
    groups: dict[str, list[SampleConfig]] = {}
    for sample in (s for s in samples if s.blend is None):
        groups.setdefault(same_candidates(sample), []).append(sample)
    return groups.values()


def _candidates(run: Run, sample: SampleConfig, leaf: int | None = None) -> DataFrame:
    """Return the points that a sample may hold, only those of one leaf if it is given."""
    assignments = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS)
    if leaf is not None:
        assignments = assignments.where(F.col("leaf_id") == leaf)
    if not sample.reads_metadata:
        return anyone(assignments)
    described = embed_pool.described(run)
    if any(isinstance(table, IdsConfig) for table in sample.tables.values()):
        described = passed(run, described)  # ids that are none of these are told
    with settings_pinned(run.spark):
        return candidates(assignments, described, sample, find_duplicates.keepers(run))


def _shares(
    this: Work, samples: Sequence[SampleConfig], points: DataFrame, levels: Sequence[TreeLevel]
) -> list[Share]:
    """Return what each sample takes of every node."""
    counts = all_points(levels)
    if samples[0].is_picky:
        counts = count_candidates(points, samples[0].n_strata, len(levels[0].parents))
    shares = []
    for sample in samples:
        if sample.weight is not None and (n := counts.n_without_weight):
            what = f"{n} points have no number above 0 in {sample.weight.by}: they come last"
            log.warning("sample=%s %s", sample.name, what)
        rules = rules_of(this.spark, sample, this.run.key(cluster_levels.STAGE))
        seeds = _seeds(this, sample).by_leaf(len(levels[0].parents), cluster_levels.landed)
        plan = partial(
            plan_sample, sample, levels, counts, seed=this.config.seed, rules=rules, seeds=seeds
        )
        n_rows = sample.rows_of(int(levels[-1].n_points.sum()))
        if isinstance(sample.target_size, TotalConfig):
            alone = partial(_drawn, this.run, points)
            n_rows = rows_for_total(sample, points, counts, plan, alone)
        elif isinstance(sample.target_size, CoverageConfig):
            n_rows = rows_for_coverage(sample, len(levels[0].parents), n_rows, plan)
        shares.append(plan(n_rows))
        if shares[-1].size == 0:
            raise ConfigError(
                f"samples.{sample.name}: its constraints leave no row; relax must_exclude, "
                "node_rules, like or quotas"
            )
    return shares


def _seeds(this: Work, sample: SampleConfig) -> Seeds:
    return Seeds(this, sample, embed_pool.STAGE, cluster_levels.on_grid)


def _drawn(run: Run, points: DataFrame, shares: Sequence[Share]) -> DataFrame:
    """Draw samples of the same candidates."""
    quotas = run.spark.createDataFrame(pa.concat_tables([share.of_leaves() for share in shares]))
    return draw_points(_ranked(run, points, shares[0].sample, quotas), quotas)


def _ranked(run: Run, points: DataFrame, sample: SampleConfig, quotas: DataFrame) -> DataFrame:
    """Rank the points of each leaf; leaves without a quota may be left out.

    Parameters
    ----------
    quotas : leaf_id, stratum, quota
    """
    if sample.strategy != "diverse":
        return ranked(points, strategy=sample.strategy, seed=run.config.seed)
    wanted = quotas.groupBy("leaf_id", "stratum").agg(F.max("quota").alias("n_wanted"))
    unit = run.outcome(cluster_levels.STAGE).grid_unit
    with_vectors = points.join(surviving(run), on="id", how="inner")
    return ranked_farthest_first(with_vectors, wanted, PointReader(unit, size_of(run).n_features))


def _report(run: Run) -> list[Row]:
    sizes, n_points = run.outcome(STAGE).sizes, size_of(run).n_points
    return sample_size_rows(sizes, run.config.samples, n_points)


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the quotas of a point's nodes, and its place in every sample."""
    samples = run.config.samples
    nodes = with_quotas(run.read(STAGE, ALLOCATIONS), so_far.path, [s.name for s in samples])
    mine = run.read(STAGE, SAMPLES).where(is_id(id_))
    drawn = mine.select("sample", "replica", "position", "reason").orderBy("replica").collect()
    ranks = _ranks(run, nodes[0].node_id, id_)
    places = []
    for sample in samples:
        rows = [row for row in drawn if row.sample == sample.name]
        rank, quota = ranks.get(sample.name), nodes[0].quotas[sample.name]
        places.append(placed(sample, rows, rank, quota))
    return replace(so_far, path=nodes, samples=places)


def _ranks(run: Run, leaf: int, id_: Id) -> dict[str, int | None]:
    """Return a point's rank in its leaf by sample; None where a sample may not hold it.

    Blends, and samples of points that are near to seeds, are left out.
    """
    found = []
    groups = list(_grouped_by_ranking([s for s in run.config.samples if not s.retrieved]))
    for samples in groups:
        points = _candidates(run, samples[0], leaf)
        whole = points.groupBy("leaf_id", "stratum").agg(F.count("*").alias("quota"))
        name = F.lit(samples[0].name).alias("sample")
        ranks = _ranked(run, points, samples[0], whole).where(is_id(id_))
        found.append(ranks.select(name, "place"))
    rows = reduce(DataFrame.unionByName, found).collect() if found else []
    places = {row["sample"]: row.place for row in rows}
    return {s.name: places.get(samples[0].name) for samples in groups for s in samples}


def ids_of(run: Run, source: str) -> DataFrame:
    """Return the ids of the pool's points, or of a sample's : id, each once."""
    if source == POOL:
        return surviving(run, "id")
    samples = run.read(STAGE, SAMPLES)
    return samples.where((F.col("sample") == source) & (F.col("replica") == 0)).select("id")


def first_of(run: Run, name: str, n_rows: int) -> DataFrame:
    """Return the points among a sample's first rows, each once : id, position."""
    samples = run.read(STAGE, SAMPLES).where((F.col("sample") == name) & (F.col("replica") == 0))
    return samples.where(F.col("position") < n_rows).select("id", "position")


def uniform_draw(run: Run, salt: str) -> pa.Table:
    """Return the points with the smallest hashes, as many as in the largest sample: id, leaf_id."""
    wanted, tree = (salt, max(run.outcome(STAGE).sizes.values())), cluster_levels.STAGE
    if held(run) is None:
        assignments = run.read(tree, cluster_levels.ASSIGNMENTS).select("id", "leaf_id")
        n_points, seed = size_of(run).n_points, run.config.seed
        (drawn,) = sample_rows(assignments, [wanted], n_points, seed=seed)
        return drawn
    (drawn,) = sample_points(run, [wanted])
    assignments = run.fetch(tree, cluster_levels.ASSIGNMENTS, ("id", "leaf_id"))
    return assignments.take(places_of(drawn["id"], assignments["id"]))


STAGE = Stage(
    name="balance_sample",
    version=2,
    after=(cluster_levels.STAGE,),
    reads=("seed", "samples"),
    also_reads=samples_identity,
    pins=samples_pinned,
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
