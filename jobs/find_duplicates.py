"""Turn away exact copies: of all points with the same content, one stays.

Reads    embeddings: id, content_hash
Writes   duplicates: every copy, and the id it is a copy of
Method   two 64-bit hashes of what was embedded; the keeper is the smallest id
Run      evenlake duplicates --config conf/quickstart.yaml dedup.exact=true
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs import embed_pool
from jobs.config.model import RunConfig
from jobs.planning.costs import Sizes
from jobs.planning.machine import DRAW_PER_POINT
from jobs.planning.problem import Part
from jobs.points.surviving import surviving
from jobs.pool.ids import Id, is_id, shown
from jobs.reporting.explanation import Explanation, Gate
from jobs.reporting.rows import Row, figure_rows
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.tables.table import GENERATION, Table

DUPLICATES = Table(
    "duplicates",
    f"id {{id}}, group_id BIGINT, keeper_id {{id}}, cosine_similarity FLOAT, {GENERATION}",
)


@dataclass(frozen=True, kw_only=True)
class Deduplicated(Outcome):
    """How many points were copies of others."""

    n_turned_away: int


def _find(this: Work) -> Deduplicated:
    points = surviving(this.run, "id", "content_hash")
    same = Window.partitionBy("content_hash")
    copies = (
        points.withColumn("keeper_id", F.min("id").over(same))
        .where(F.col("id") != F.col("keeper_id"))
        .withColumn("group_id", F.xxhash64("content_hash"))
        .withColumn("cosine_similarity", F.lit(1.0).cast("float"))
        .drop("content_hash")
    )
    return Deduplicated(n_turned_away=this.write(DUPLICATES, copies))


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
    """Add which id this one is a copy of, if any."""
    rows = run.read(STAGE, DUPLICATES).where(is_id(id_)).select("keeper_id").collect()
    if not rows:
        return so_far
    detail = f"its content is that of {shown(rows[0].keeper_id)!r}, which stays"
    return replace(so_far, gate=Gate("rejected", "find_duplicates", "duplicate", detail))


STAGE = Stage(
    name="find_duplicates",
    version=1,
    after=(embed_pool.STAGE,),
    reads=("dedup.exact",),
    is_on=lambda config: config.dedup.exact,
    command="duplicates",
    summary="Turn away exact copies.",
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
    """Turn away exact copies."""
    from jobs.cli.command import stage_main

    return stage_main(STAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
