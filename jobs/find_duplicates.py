"""Turn away copies: of all points with the same content, or nearly the same, one stays.

Reads    embeddings: id, content_hash, embedding; metadata, if it says which copy stays; evaluation
         sets, whose rows and all that is similar to them go first
Writes   duplicates: every copy, the id that stays for it, and how similar they are; rejects:
         contaminated points
Method   two 64-bit hashes of what was embedded; cosine above a threshold within coarse cells
         (SemDeDup, arXiv 2303.09540), where a copy is similar to the point that stays for it
Run      evenlake duplicates --config conf/quickstart.yaml dedup.threshold=0.95
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import embed_pool
from jobs.clustering.sizes import LOCAL_BYTES
from jobs.config.dedup import DedupConfig, KeepConfig
from jobs.config.model import RunConfig
from jobs.duplicates.against import (
    against_identity,
    against_pinned,
    contaminated_among,
    contaminated_in,
    known_rows,
)
from jobs.duplicates.exact import copies_among, copies_in, group_ids, settled_among, settled_in
from jobs.duplicates.near import Near
from jobs.duplicates.ranking import ranking_of, with_rank
from jobs.duplicates.report_rows import N_COMPARED, group_rows, similarity_rows
from jobs.planning import costs
from jobs.points.surviving import hashed, held, sample_points, size_of, surviving
from jobs.pool.ids import Id, is_id, shown
from jobs.reporting.explanation import Explanation, Gate
from jobs.reporting.rows import Row, figure_rows
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import HANDED_BYTES, Run
from jobs.runs.stage import Stage
from jobs.runs.work import Rows, Work
from jobs.spark.frames import as_frame, kept_no_more, kept_on_disk
from jobs.tables.shared import REJECTS
from jobs.tables.table import GENERATION, Table
from udfs.near import DirectionReader

DUPLICATES = Table(
    "duplicates",
    f"id {{id}}, group_id BIGINT, keeper_id {{id}}, cosine_similarity FLOAT, {GENERATION}",
)


@dataclass(frozen=True, kw_only=True)
class Deduplicated(Outcome):
    """How many points were turned away.

    Attributes
    ----------
    n_near : copies that are not of the same content
    n_contaminated : points in evaluation sets
    """

    n_turned_away: int
    n_near: int = 0
    n_contaminated: int = 0

    @property
    def n_copies(self) -> int:
        """How many points are copies of others."""
        return self.n_turned_away - self.n_contaminated


class _Found(NamedTuple):
    copies: Rows
    n_near: int = 0
    contaminated: pa.Table | None = None


def _find(this: Work) -> Deduplicated:
    points = _in_memory(this)
    found = _among(this) if points is None else _in(this, points)
    outputs: dict[Table, Rows] = {}
    if found.contaminated is not None and len(found.contaminated):
        stage = pa.array([STAGE.name] * len(found.contaminated))
        outputs[REJECTS] = found.contaminated.append_column("stage", stage)
    # a commit is most of what this costs a small run
    if not isinstance(found.copies, pa.Table) or len(found.copies):
        outputs[DUPLICATES] = found.copies
    if outputs:
        this.write_all(outputs)
    n_contaminated = this.n_rows.get(REJECTS.name, 0)
    return Deduplicated(
        n_turned_away=n_contaminated + this.n_rows.get(DUPLICATES.name, 0),
        n_near=found.n_near,
        n_contaminated=n_contaminated,
    )


def _in(this: Work, points: pa.Table) -> _Found:
    """Find who goes among points in memory."""
    given, ranking, contaminated = this.config.dedup, ranking_of(this.config.dedup), None
    if given.against:
        known, read = known_rows(this, embed_pool.STAGE, _reader(this.run)), _reader(this.run)
        contaminated = contaminated_in(points, known, read, given.against_threshold)
        points = _without(points, contaminated)
    copies = copies_in(points if given.exact else points.slice(0, 0), ranking)
    if given.threshold is None:
        return _Found(copies, 0, contaminated)
    left = _without(points, copies)
    left = left.append_column("group_id", pa.array(group_ids(left)))
    similar = _search(this, given.threshold).in_memory(left)
    return _Found(settled_in(copies, similar), len(similar), contaminated)


def _without(points: pa.Table, others: pa.Table) -> pa.Table:
    is_other = pa.compute.is_in(points["id"], others["id"].combine_chunks())
    return points.filter(pa.compute.invert(is_other))


def _among(this: Work) -> _Found:
    """Find who goes among points on the executors."""
    given, contaminated = this.config.dedup, None
    columns = ["id", "content_hash"] + ["embedding"] * _reads_vectors(given)
    points, n_points = _points(this, *columns), size_of(this.run).n_points
    if given.against:
        known, read = known_rows(this, embed_pool.STAGE, _reader(this.run)), _reader(this.run)
        contaminated = contaminated_among(this, points, known, read, given.against_threshold)
        gone = as_frame(this.spark, contaminated.select(["id"]))
        points = points.join(gone, on="id", how="left_anti")
        n_points -= len(contaminated)
    copies = copies_among(points if given.exact else points.limit(0), ranking_of(given))
    if given.threshold is None:
        return _Found(copies, 0, contaminated)
    copies = kept_on_disk(copies)
    this.when_finished(partial(kept_no_more, copies))
    left = points.join(copies.select("id"), on="id", how="left_anti")
    left = left.withColumn("group_id", F.xxhash64("content_hash")).drop("content_hash")
    search = _search(this, given.threshold)
    similar = search.on_executors(this, left, n_points - copies.count())
    return _Found(settled_among(copies, similar), len(similar), contaminated)


def _search(this: Work, threshold: float) -> Near:
    return Near(_reader(this.run), threshold, ranking_of(this.config.dedup), this.config.seed)


def _reader(run: Run) -> DirectionReader:
    return DirectionReader(size_of(run).n_features, run.config.embed.normalize)


def _reads_vectors(given: DedupConfig) -> bool:
    return given.threshold is not None or bool(given.against)


def _in_memory(this: Work) -> pa.Table | None:
    """Return the points in memory, or None if they are too many to be brought there."""
    size, given = size_of(this.run), this.config.dedup
    if given.keep == "closest" and (points := held(this.run)) is not None:
        return points
    bound = LOCAL_BYTES if _reads_vectors(given) else HANDED_BYTES
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
    """Return the ids turned away; asked only if there are any."""
    found = run.outcome(STAGE)
    counts = {DUPLICATES: found.n_copies, REJECTS: found.n_contaminated}
    ids = [run.read(STAGE, table).select("id") for table, n in counts.items() if n]
    return reduce(DataFrame.unionByName, ids)


def _report(run: Run) -> list[Row]:
    """Count copies and their groups; say how similar the points before were."""
    found = run.outcome(STAGE)
    counts = {name: getattr(found, name) for name in ("n_copies", "n_near", "n_contaminated")}
    rows = figure_rows("duplicates", None, counts)
    if found.n_copies:
        rows += group_rows(run.read(STAGE, DUPLICATES))
    wanted = [("find_duplicates.report", N_COMPARED)]
    (points,) = sample_points(run, wanted, before=STAGE)
    return rows + similarity_rows(points, _reader(run))


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add which id this one is a copy of, if any, and how similar they are."""
    outcome = run.outcome(STAGE)
    if outcome.n_contaminated:
        rejects = run.read(STAGE, REJECTS).where(is_id(id_)).select("stage", "reason", "detail")
        for row in rejects.collect():
            return replace(so_far, gate=Gate("rejected", *row))
    if not outcome.n_copies:
        return so_far
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
    also_reads=against_identity,
    pins=against_pinned,
    is_on=lambda config: config.dedup.is_on,
    command="duplicates",
    summary="Turn away copies, exact and near.",
    tables=(DUPLICATES, REJECTS),
    outcome=Deduplicated,
    work=_find,
    turned_away=_turned_away,
    cost=costs.deduplicate,
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
