"""Turn away copies: of all points with the same content, or nearly the same, one stays.

Reads    embeddings: id, content_hash, embedding; metadata, if it says which copy stays
Writes   duplicates: every copy, the id that stays for it, and how similar they are
Method   two 64-bit hashes of what was embedded; cosine above a threshold within coarse cells
         (SemDeDup, arXiv 2303.09540), where a copy is similar to the point that stays for it
Run      evenlake duplicates --config conf/quickstart.yaml dedup.threshold=0.95
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import embed_pool
from jobs.clustering.sizes import LOCAL_BYTES
from jobs.config.dedup import KeepConfig
from jobs.config.model import RunConfig
from jobs.duplicates.exact import copies_among, copies_in, group_ids, settled_among, settled_in
from jobs.duplicates.near import Near
from jobs.duplicates.ranking import ranking_of, with_rank
from jobs.planning.costs import Sizes
from jobs.planning.machine import DRAW_PER_POINT
from jobs.planning.problem import Part
from jobs.points.surviving import hashed, held, size_of, surviving
from jobs.pool.ids import Id, is_id, shown
from jobs.reporting.explanation import Explanation, Gate
from jobs.reporting.rows import Row, figure_rows
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import HANDED_BYTES, Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.spark.frames import kept_no_more, kept_on_disk
from jobs.tables.table import GENERATION, Table
from udfs.near import DirectionReader

DUPLICATES = Table(
    "duplicates",
    f"id {{id}}, group_id BIGINT, keeper_id {{id}}, cosine_similarity FLOAT, {GENERATION}",
)


@dataclass(frozen=True, kw_only=True)
class Deduplicated(Outcome):
    """How many points were copies of others, and how many of those are not of equal content."""

    n_turned_away: int
    n_near: int = 0


def _find(this: Work) -> Deduplicated:
    points = _in_memory(this)
    copies, n_near = _among(this) if points is None else _in(this, points)
    return Deduplicated(n_turned_away=this.write(DUPLICATES, copies), n_near=n_near)


def _in(this: Work, points: pa.Table) -> tuple[pa.Table, int]:
    """Return the copies among points in memory, and how many of them are near ones."""
    given, ranking = this.config.dedup, ranking_of(this.config.dedup)
    copies = copies_in(points if given.exact else points.slice(0, 0), ranking)
    near = _search(this)
    if near is None:
        return copies, 0
    is_copy = pa.compute.is_in(points["id"], copies["id"].combine_chunks())
    left = points.filter(pa.compute.invert(is_copy))
    similar = near.in_memory(left.append_column("group_id", pa.array(group_ids(left))))
    return settled_in(copies, similar), len(similar)


def _among(this: Work) -> tuple[DataFrame, int]:
    """Return the copies among points on the executors, and how many of them are near ones."""
    given, near = this.config.dedup, _search(this)
    points = _points(this, "id", "content_hash", *([] if near is None else ["embedding"]))
    copies = copies_among(points if given.exact else points.limit(0), ranking_of(given))
    if near is None:
        return copies, 0
    copies = kept_on_disk(copies)
    this.when_finished(partial(kept_no_more, copies))
    n_left = size_of(this.run).n_points - copies.count()
    left = points.join(copies.select("id"), on="id", how="left_anti")
    left = left.withColumn("group_id", F.xxhash64("content_hash")).drop("content_hash")
    similar = near.on_executors(this, left, n_left)
    return settled_among(copies, similar), len(similar)


def _search(this: Work) -> Near | None:
    """Return the search for near copies, if they are to be turned away."""
    config, threshold = this.config, this.config.dedup.threshold
    if threshold is None:
        return None
    read = DirectionReader(size_of(this.run).n_features, config.embed.normalize)
    return Near(read, threshold, ranking_of(config.dedup), config.seed)


def _in_memory(this: Work) -> pa.Table | None:
    """Return the points in memory, or None if they are too many to be brought there."""
    size, given = size_of(this.run), this.config.dedup
    if given.keep == "closest" and (points := held(this.run)) is not None:
        return points
    bound = HANDED_BYTES if given.threshold is None else LOCAL_BYTES
    if 4 * size.n_points * size.n_features > bound:
        return None
    return hashed(_points(this, "id", "content_hash", "embedding")).toArrow()


def _points(this: Work, *columns: str) -> DataFrame:
    """Return the surviving points, with their rank if the metadata has it."""
    points, keep = surviving(this.run, *columns), this.config.dedup.keep
    if not isinstance(keep, KeepConfig):
        return points
    return with_rank(points, this.run.read(embed_pool.STAGE, embed_pool.METADATA), keep)


def _turned_away(run: Run) -> DataFrame:
    return run.read(STAGE, DUPLICATES).select("id")


def _cost(sizes: Sizes) -> Iterator[Part]:
    """Estimate the search for copies: it shuffles hashes, not vectors."""
    yield sizes.spark("find_duplicates", "exact copies", 0, DRAW_PER_POINT)


def _report(run: Run) -> list[Row]:
    """Count copies and their groups."""
    rows = run.read(STAGE, DUPLICATES).groupBy("group_id").count()
    ((n_groups, largest),) = rows.agg(F.count("*"), F.max("count")).collect()
    n_copies = run.outcome(STAGE).n_turned_away
    figures = {"n_copies": n_copies, "n_groups": n_groups, "most_copies_of_one": largest or 0}
    return figure_rows("duplicates", None, figures)


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add which id this one is a copy of, if any, and how similar they are."""
    found = run.read(STAGE, DUPLICATES).where(is_id(id_))
    rows = found.select("keeper_id", "cosine_similarity").collect()
    if not rows:
        return so_far
    keeper, cosine = rows[0]
    is_near = cosine < 1
    what = f"cosine similarity {cosine:.4f} to" if is_near else "its content is that of"
    detail = f"{what} {shown(keeper)!r}, which stays"
    return replace(so_far, gate=Gate("rejected", "find_duplicates", "duplicate", detail))


STAGE = Stage(
    name="find_duplicates",
    version=1,
    after=(embed_pool.STAGE,),
    reads=("dedup",),
    is_on=lambda config: config.dedup.is_on,
    command="duplicates",
    summary="Turn away copies, exact and near.",
    tables=(DUPLICATES,),
    outcome=Deduplicated,
    work=_find,
    turned_away=_turned_away,
    cost=_cost,
    report=_report,
    explain=_explain,
)


def run(spark: SparkSession, config: RunConfig) -> Deduplicated:
    """Find the copies, or reuse those already found.

    Raises
    ------
    ConfigError
        If the pool has not been embedded yet.
    """
    return open_run(spark, config).do(STAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Turn away copies."""
    from jobs.cli.command import stage_main

    return stage_main(STAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
