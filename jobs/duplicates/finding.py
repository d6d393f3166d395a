"""Which points go: those in evaluation sets first, then exact copies, then near ones.

A small pool is brought to the driver, where all is done in memory; a larger one's vectors stay on
the executors. The answer is the same.
"""

from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.clustering.sizes import LOCAL_BYTES
from jobs.config.errors import GuardError
from jobs.duplicates.against import contaminated_among, contaminated_in, known_rows
from jobs.duplicates.exact import copies_among, copies_in, group_ids, settled_among, settled_in
from jobs.duplicates.near import Near
from jobs.duplicates.ranking import ranking_of, with_rank
from jobs.points.surviving import hashed, held, keep, size_of, surviving, without
from jobs.runs.run import HANDED_BYTES, Run
from jobs.runs.stage import Stage
from jobs.runs.work import Rows, Work
from jobs.sections.dedup import DedupConfig, KeepConfig
from jobs.spark.frames import as_frame
from jobs.tables.table import Table
from udfs.near import DirectionReader


class Found(NamedTuple):
    """The points that go.

    Attributes
    ----------
    copies : columns of ``duplicates``
    n_near : those whose content differs from that of the point that stays
    contaminated : id, reason, detail; None if there is nothing to compare with
    """

    copies: Rows
    n_near: int = 0
    contaminated: pa.Table | None = None


def find(this: Work, embedded_by: Stage[Any], metadata: Table) -> Found:
    """Find which of the surviving points go.

    Parameters
    ----------
    embedded_by : the stage that embedded the pool
    metadata : the stage's table that may say which copy stays

    Raises
    ------
    InputError
        If an evaluation set cannot be read as described.
    GuardError
        If nothing would be left, or too many pairs are similar.
    """
    points = _in_memory(this, embedded_by, metadata)
    if points is not None:
        return _in(this, embedded_by, points)
    columns = ["id", "content_hash"] + ["embedding"] * _reads_vectors(this.config.dedup)
    return _among(this, embedded_by, _points(this, embedded_by, metadata, *columns))


def _in(this: Work, embedded_by: Stage[Any], points: pa.Table) -> Found:
    """Find which of the points in memory go."""
    given, ranking, contaminated = this.config.dedup, ranking_of(this.config.dedup), None
    if given.against:
        known, read = known_rows(this, embedded_by, reader_of(this.run)), reader_of(this.run)
        contaminated = contaminated_in(points, known, read, given.against_threshold)
        _require_others(this, contaminated)
        points = without(points, contaminated["id"])
    copies = copies_in(points if given.exact else points.slice(0, 0), ranking)
    if given.threshold is None:
        return Found(copies, 0, contaminated)
    left = without(points, copies["id"])
    left = left.append_column("group_id", pa.array(group_ids(left)))
    similar = _search(this, given.threshold).in_memory(left)
    return Found(settled_in(copies, similar), len(similar), contaminated)


def _require_others(this: Work, contaminated: pa.Table) -> None:
    if len(contaminated) == size_of(this.run).n_points:
        raise GuardError(
            f"dedup.against: all {len(contaminated)} points are in evaluation sets, none would be "
            "left; check that the tables are not the pool's own"
        )


def _among(this: Work, embedded_by: Stage[Any], points: DataFrame) -> Found:
    """Find which of the points on the executors go."""
    given, contaminated = this.config.dedup, None
    n_points = size_of(this.run).n_points
    if given.against:
        known, read = known_rows(this, embedded_by, reader_of(this.run)), reader_of(this.run)
        contaminated = contaminated_among(this, points, known, read, given.against_threshold)
        _require_others(this, contaminated)
        gone = as_frame(this.spark, contaminated.select(["id"]))
        points = points.join(gone, on="id", how="left_anti")
        n_points -= len(contaminated)
    copies = copies_among(points if given.exact else points.limit(0), ranking_of(given))
    if given.threshold is None:
        return Found(copies, 0, contaminated)
    copies = this.persisted(copies)
    left = points.join(copies.select("id"), on="id", how="left_anti")
    left = left.withColumn("group_id", F.xxhash64("content_hash")).drop("content_hash")
    search = _search(this, given.threshold)
    similar = search.on_executors(this, left, n_points - copies.count())
    return Found(settled_among(copies, similar), len(similar), contaminated)


def _search(this: Work, threshold: float) -> Near:
    return Near(reader_of(this.run), threshold, ranking_of(this.config.dedup), this.config.seed)


def reader_of(run: Run) -> DirectionReader:
    """Return the reader of a run's points as directions."""
    return DirectionReader(size_of(run).n_features, run.config.embed.normalize)


def _reads_vectors(given: DedupConfig) -> bool:
    return given.threshold is not None or bool(given.against)


def _in_memory(this: Work, embedded_by: Stage[Any], metadata: Table) -> pa.Table | None:
    """Return the points in memory, or None if they are too many to be brought there."""
    size, given = size_of(this.run), this.config.dedup
    if given.keep == "closest" and (points := held(this.run)) is not None:
        return points
    bound = LOCAL_BYTES if _reads_vectors(given) else HANDED_BYTES
    if 4 * size.n_points * size.n_features > bound:
        return None
    columns = ("id", "content_hash", "embedding")
    points = hashed(_points(this, embedded_by, metadata, *columns)).toArrow()
    if _reads_vectors(given) and this.config.cluster.solver != "spark":
        keep(this.run, points)  # level 1 is solved from memory, too
    return points


def _points(this: Work, embedded_by: Stage[Any], metadata: Table, *columns: str) -> DataFrame:
    """Return the surviving points, with their rank if the metadata has it."""
    points, keep = surviving(this.run, *columns), this.config.dedup.keep
    if not isinstance(keep, KeepConfig):
        return points
    return with_rank(points, this.run.read(embedded_by, metadata), keep)
