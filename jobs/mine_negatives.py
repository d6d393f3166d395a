"""Mine batches of hard negatives from the tree, for any contrastive trainer.

Reads    nodes, assignments; the surviving points, or one sample; embeddings, for a guard
Writes   hard_negative_batches: every point in one batch of an epoch; report
Method   Divide and Contrast, arXiv 2105.08054: negatives from within a cluster; batches are cut
         from a walk through the tree, in which points that follow each other are near
Run      evenlake negatives --config my.yaml contrast.source=pool
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, embed_pool, find_duplicates
from jobs.config.errors import ConfigError
from jobs.config.identity import label_rule
from jobs.config.model import RunConfig
from jobs.negatives.cutting import Cut, cut, cut_apart
from jobs.negatives.measured import hardness_of, hardness_rows, means_of, said_of
from jobs.negatives.order import level_for, ordered, walk_of
from jobs.negatives.page import negatives_page
from jobs.planning import costs
from jobs.points.surviving import size_of, surviving
from jobs.pool.ids import Id, is_id
from jobs.reporting.exported import exported
from jobs.reporting.rows import REPORT_COLUMNS, report_table
from jobs.reporting.side_page import render_side_page
from jobs.runs.explanation import Explanation
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome, per
from jobs.runs.run import Run
from jobs.runs.sources import require_level, require_source
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.kinds import POOL
from jobs.spark.frames import as_frame
from jobs.spark.naming import quote
from jobs.tables.shared import REPORT
from jobs.tables.table import GENERATION, Table
from udfs.near import DirectionReader
from udfs.negatives import Guard

HARD_NEGATIVE_BATCHES = Table(
    "hard_negative_batches",
    f"epoch INT, batch_id BIGINT, cluster_id BIGINT, id {{id}}, position INT, {GENERATION}",
)


@dataclass(frozen=True, kw_only=True)
class Mined(Outcome):
    """The batches of an epoch.

    Attributes
    ----------
    n_left : points in no batch, as the last ones were left out
    level, n_nodes : level of the tree that the batches come from, and its number of nodes
    hardness : means over a few batches, and those of uniform ones as ``NAME.control``
    """

    n_points: int
    n_whole: int
    n_smaller: int
    n_left: int
    level: int
    n_nodes: int
    hardness: dict[str, float] = per("hardness.{}", r"[\w.]+")


def _mine(this: Work) -> Mined:
    given, seed = this.config.contrast.batches, this.config.seed
    source = str(this.config.contrast.source)
    tree = this.run.outcome(cluster_levels.STAGE)
    # 1. order the points by a walk through their nodes
    n_points = _n_points(this.run, source)
    level = this.config.contrast.level or level_for(n_points, tree.n_nodes, given.size)
    in_order = _walked(this, source, level, tree.grid_unit)
    # 2. cut them into batches, in which some points are kept apart
    found = _cut(this, in_order, n_points)
    batches = found.rows.withColumn("epoch", F.lit(given.epoch))
    if given.drop_last:
        batches = batches.where(F.col("batch_id") < found.n_whole)
    n_written = this.write(HARD_NEGATIVE_BATCHES, batches)
    # 3. measure how hard some of the batches are
    figures = hardness_of(
        this.lake.read(HARD_NEGATIVE_BATCHES, this.key).select("batch_id", "id", "position"),
        _points(this),
        _reader(this),
        size=given.size,
        n_whole=found.n_whole,
        n_points=n_written,
        max_cosine=given.max_cosine,
        seed=seed,
    )
    this.write(REPORT, report_table(hardness_rows(source, figures), this.run.run_id))
    return Mined(
        n_points=n_points,
        n_whole=found.n_whole,
        n_smaller=0 if given.drop_last else found.n_smaller,
        n_left=n_points - n_written,
        level=level,
        n_nodes=tree.n_nodes[level - 1],
        hardness=means_of(figures),
    )


def _n_points(run: Run, source: str) -> int:
    """Return the number of points to make batches of.

    Raises
    ------
    ConfigError
        If they are fewer than one batch.
    """
    n_points = size_of(run).n_points
    if source != POOL:
        n_points = balance_sample.ids_of(run, source).count()
    size = run.config.contrast.batches.size
    if n_points < size:
        raise ConfigError(
            f"contrast.batches.size={size} exceeds the {n_points} points of {source!r}; want at "
            f"most {n_points}"
        )
    return n_points


def _walked(this: Work, source: str, level: int, unit: float) -> DataFrame:
    """Return the points in the epoch's order of the walk : id, cluster_id, place."""
    given = this.config.contrast.batches
    nodes = this.run.read(cluster_levels.STAGE, cluster_levels.NODES).where(F.col("level") >= level)
    columns = ("level", "node_id", "parent_id", "n_points", "centroid")
    walk = walk_of(nodes.select(*columns).toArrow(), unit)
    return ordered(
        _by_node(this.run, source, level),
        as_frame(this.spark, walk),
        n_walk=size_of(this.run).n_points,
        temperature=given.temperature,
        seed=this.config.seed,
        epoch=given.epoch,
    )


def _by_node(run: Run, source: str, level: int) -> DataFrame:
    """Return the points with their nodes at a level : id, cluster_id."""
    rows = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS)
    points = rows.select("id", F.col("path")[level - 1].alias("cluster_id"))
    if source == POOL:
        return points
    return points.join(balance_sample.ids_of(run, source), on="id", how="inner")


def _cut(this: Work, in_order: DataFrame, n_points: int) -> Cut:
    """Cut points into batches; where copies were not turned away, they are kept apart here."""
    given = this.config.contrast.batches
    by_content = not this.run.is_on(find_duplicates.STAGE)
    guard = Guard(given.size, _reader(this), given.max_cosine, by_content)
    if not guard.columns:
        return cut(in_order, n_points=n_points, size=given.size)
    points = surviving(this.run, "id", *guard.columns)
    seed = this.config.seed
    return cut_apart(in_order, points, guard, n_points=n_points, seed=seed, persist=this.persisted)


def _reader(this: Work) -> DirectionReader:
    return DirectionReader(size_of(this.run).n_features, this.config.embed.normalize)


def _points(this: Work) -> DataFrame:
    """Return the points to measure : id, embedding, label (null if it has none)."""
    name, points = this.config.report.label, surviving(this.run)
    if name is None:
        return points.withColumn("label", F.lit(None).cast("string"))
    labels = embed_pool.described(this.run).select("id", F.col(quote(name)).alias("label"))
    return points.join(labels, on="id", how="inner")


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the batch that the point is in, if any."""
    epoch = run.written.contrast.batches.epoch
    said = f"in no batch of epoch {epoch}"
    for row in run.read(STAGE, HARD_NEGATIVE_BATCHES).where(is_id(id_)).collect():
        level = run.outcome(STAGE).level
        said = (
            f"in batch {row.batch_id} of epoch {epoch}, as a point of node {row.cluster_id} of "
            f"level {level}"
        )
    return replace(so_far, notes=[*so_far.notes, f"negatives: {said}"])


STAGE = Stage(
    name="mine_negatives",
    version=1,
    after=(embed_pool.STAGE, cluster_levels.STAGE, balance_sample.STAGE),
    reads=("seed", "contrast.source", "contrast.level", "contrast.batches", "report.label"),
    also_reads=label_rule,
    is_side=True,
    is_on=lambda config: config.contrast.source is not None,
    command="negatives",
    summary="Mine batches of hard negatives from the tree, for any contrastive trainer.",
    tables=(HARD_NEGATIVE_BATCHES, REPORT),
    outcome=Mined,
    work=_mine,
    cost=costs.mine_negatives,
    explain=_explain,
)


def mine(this: Run) -> Mined:
    """Mine an epoch's batches, or reuse those that were mined.

    Raises
    ------
    ConfigError
        If there is nothing to mine from, fewer points than a batch, no such level, or the pool has
        not been curated yet.
    """
    given = this.written.contrast
    require_source(this, "contrast.source", given.source)
    require_level(this, "contrast.level", given.level)
    return this.do(STAGE)


def run(spark: SparkSession, config: RunConfig) -> Mined:
    """Mine batches on a config; see ``mine``."""
    return mine(open_run(spark, config))


def _show(this: Run) -> str:
    done = mine(this)
    said = _said(this, done)
    table = this.lake.shown(HARD_NEGATIVE_BATCHES.name)
    page = _exported(this, said)
    return "\n".join([*said, f"table: {table} (stage_key = {this.key(STAGE)})", *page])


def _said(this: Run, done: Mined) -> list[str]:
    given = this.written.contrast
    smaller = f", {done.n_smaller:,} smaller" if done.n_smaller else ""
    left = f"; {done.n_left:,} points left over" if done.n_left else ""
    chosen = "" if given.level else ", chosen by the size of a batch"
    return [
        f"{done.n_whole:,} batches of {given.batches.size:,}{smaller}, of {done.n_points:,} points "
        f"in epoch {given.batches.epoch}{left}",
        f"from level {done.level} of the tree{chosen}: {done.n_nodes:,} nodes of "
        f"{done.n_points / done.n_nodes:.3g} points on average",
        *_said_of_copies(this),
        *said_of(done.hardness),
    ]


def _said_of_copies(this: Run) -> list[str]:
    if not this.is_on(find_duplicates.STAGE):
        return ["copies, which were not turned away, never share a batch"]
    n_copies = this.outcome(find_duplicates.STAGE).n_copies
    return [f"{n_copies:,} copies are in none: they were turned away"] if n_copies else []


def _exported(this: Run, said: Sequence[str]) -> list[str]:
    """Write a page next to the tables, if those are on this machine; return a line that says so."""
    if (folder := this.lake.local_folder) is None:
        return []
    rows = this.fetch(STAGE, REPORT, REPORT_COLUMNS).to_pandas()
    tables = {HARD_NEGATIVE_BATCHES.name: this.lake.shown(HARD_NEGATIVE_BATCHES.name)}
    page = negatives_page(this.config, this.run_id, said, tables)
    name = f"{this.run_id}-negatives-{this.key(STAGE)[:8]}"
    path = exported(folder, name, lambda: render_side_page(page, rows).encode(), is_kept=False)
    return [f"page: {path}"]


def main(argv: Sequence[str] | None = None) -> int:
    """Mine batches of hard negatives."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="negatives", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
