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
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import embed_pool
from jobs.config.model import RunConfig
from jobs.duplicates.against import CONTAMINATED, against_identity, against_pinned
from jobs.duplicates.finding import find, reader_of
from jobs.duplicates.report_rows import N_COMPARED, group_rows, similarity_rows
from jobs.planning import costs
from jobs.points.surviving import sample_points
from jobs.pool.ids import Id, is_id, shown
from jobs.reporting.rows import Row, figure_rows
from jobs.runs.explanation import Explanation, Gate, rejection
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Rows, Work
from jobs.tables.shared import REJECTS, rejects_shown
from jobs.tables.table import GENERATION, Table

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


def _find(this: Work) -> Deduplicated:
    found = find(this, embed_pool.STAGE, embed_pool.METADATA)
    outputs: dict[Table, Rows] = {}
    if found.contaminated is not None and len(found.contaminated):
        stage = pa.array([STAGE.name] * len(found.contaminated))
        outputs[REJECTS] = found.contaminated.append_column("stage", stage)
    # in a small run, a commit is most of the cost
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


def _turned_away(run: Run) -> list[Table]:
    """Return the tables that name the ids turned away."""
    found = run.outcome(STAGE)
    counts = {DUPLICATES: found.n_copies, REJECTS: found.n_contaminated}
    return [table for table, n in counts.items() if n]


def keepers(run: Run) -> DataFrame | None:
    """Return the copies, each with the point that stays for it : id, keeper_id; None if none."""
    if not run.is_on(STAGE) or not run.outcome(STAGE).n_copies:
        return None
    return run.read(STAGE, DUPLICATES).select("id", "keeper_id")


def _shows(run: Run) -> DataFrame:
    """Return copies beside the ids that stay for them, and contaminated points."""
    found, shown_ = run.outcome(STAGE), []
    if found.n_copies:
        text = F.format_string("cosine similarity %.3f", "cosine_similarity")
        is_near, reason = F.col("cosine_similarity") < 1, F.lit("duplicate")
        columns = {
            "beside_id": F.col("keeper_id"),
            "reason": F.when(is_near, F.lit("near duplicate")).otherwise(reason),
            "detail": F.when(is_near, text).otherwise(F.lit("the same content")),
        }
        copies = run.read(STAGE, DUPLICATES).withColumns(columns)
        shown_.append(copies.select("id", *columns))
    if found.n_contaminated:
        shown_.append(rejects_shown(run.read(STAGE, REJECTS)))
    return reduce(DataFrame.unionByName, shown_)


def _report(run: Run) -> list[Row]:
    """Count copies and their groups; say how similar the points before were."""
    found = run.outcome(STAGE)
    counts = {name: getattr(found, name) for name in ("n_copies", "n_near", "n_contaminated")}
    rows = figure_rows("duplicates", None, counts)
    if n := found.n_contaminated:
        rows.append(Row(None, "rejects", None, CONTAMINATED, None, "n_rows", float(n)))
    if found.n_copies:
        rows += group_rows(run.read(STAGE, DUPLICATES))
    wanted = [("find_duplicates.report", N_COMPARED)]
    (points,) = sample_points(run, wanted, before=STAGE)
    return rows + similarity_rows(points, reader_of(run))


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add which id this one is a copy of, if any, and how similar they are."""
    outcome = run.outcome(STAGE)
    if outcome.n_contaminated and (gate := rejection(run.read(STAGE, REJECTS), id_)):
        return replace(so_far, gate=gate)
    if not outcome.n_copies:
        return so_far
    found = run.read(STAGE, DUPLICATES).where(is_id(id_))
    rows = found.select("keeper_id", "cosine_similarity").collect()
    if not rows:
        return so_far
    keeper, cosine = rows[0]
    what = f"cosine similarity {cosine:.4f} to"
    if cosine == 1:
        what = f"its content {'or its embedding ' if outcome.n_near else ''}is that of"
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
    shows=_shows,
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
