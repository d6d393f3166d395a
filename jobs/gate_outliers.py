"""Turn away outliers: points far from all others, of which a balanced sample would be full.

Reads    the surviving points
Writes   rejects: every outlier, its score and its nearest neighbour; report: how they lie
Method   the distance to the second nearest other, in MADs above the median (Iglewicz and Hoaglin,
         "How to Detect and Handle Outliers", 1993)
Run      evenlake outliers --config conf/quickstart.yaml outliers.method=knn
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from threadpoolctl import threadpool_limits

from jobs import embed_pool
from jobs.clustering.sizes import n_solving_bins
from jobs.clustering.spark_points import SparkPoints
from jobs.config.errors import GuardError
from jobs.config.model import RunConfig
from jobs.outliers.rows import outlier_rows
from jobs.outliers.scores import spread_of
from jobs.outliers.search import Search, cells_of, n_cells
from jobs.planning.costs import Sizes
from jobs.planning.level_parts import BIN_COPIES
from jobs.planning.machine import ROUTE_PER_BYTE
from jobs.planning.problem import Part
from jobs.points.surviving import held, size_of, surviving
from jobs.pool.ids import Id
from jobs.reporting.rows import report_table
from jobs.runs.explanation import Explanation, rejection
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.tables.shared import REJECTS, REPORT, rejects_shown
from udfs.kernels.exact.grid import grid_unit
from udfs.kernels.exact.hashing import derive_seed

_SEARCH_SLOWER = 3.0  # times a nearest-centroid search, per pair: scores are partitioned
log = logging.getLogger(__name__)

OUTLIER = "outlier"  # the reason given in their rejects


@dataclass(frozen=True, kw_only=True)
class Gated(Outcome):
    """How many points were outliers, and how far apart the others are.

    Attributes
    ----------
    median, mad : median and MAD of the distances to the second nearest other
    """

    n_turned_away: int
    median: float
    mad: float


def _gate(this: Work) -> Gated:
    limit = this.config.outliers.max_score
    # 1. every point's distance to its neighbours, and how these spread
    pool, search = _search(this)
    first = this.persisted(_with_distance(search.once(), pool.unit))
    spread = spread_of(first, largest=2 * this.run.outcome(embed_pool.STAGE).largest_norm)
    first = first.withColumn("score", spread.score(F.col("distance")))
    # 2. points that look too far away search again, in more cells
    is_far = F.coalesce(F.col("score") > limit, F.lit(True))
    again = first.where(is_far)
    if not search.is_complete:
        again = _with_distance(search.again(again), pool.unit)
        again = this.persisted(again.withColumn("score", spread.score(F.col("distance"))))
    outliers = again.where(F.col("score") > limit)
    # 3. the rejects, and what they are judged by
    n_outliers = this.write(REJECTS, _rejects(outliers, limit))
    _guard(n_outliers, pool.n_rows, this.config)
    blind = spread.out_of_reach(limit, is_normal=this.config.embed.normalize)
    if n_outliers == 0 and blind is not None:
        log.warning(blind)
    scored = first.where(~is_far).unionByName(again)
    rows = outlier_rows(scored, outliers, n_outliers, pool.n_rows, spread, limit)
    this.write(REPORT, report_table(rows, this.run.run_id))
    return Gated(n_turned_away=n_outliers, median=spread.median, mad=spread.mad)


def _search(this: Work) -> tuple[SparkPoints, Search]:
    """Return the points and the cells that they are searched in."""
    unit, seed = grid_unit(this.run.outcome(embed_pool.STAGE).largest_norm), this.config.seed
    points = surviving(this.run)
    pool = SparkPoints(points, *size_of(this.run), unit, seed, held=held(this.run))
    with threadpool_limits(1):  # the solver has its own threads
        cells = cells_of(pool, seed=derive_seed(seed, 3))
    return pool, Search(pool, this.ship(cells.centroids), cells.n_points)


def _with_distance(found: DataFrame, unit: float) -> DataFrame:
    return found.select("id", (F.sqrt("sq_distance") * F.lit(unit)).alias("distance"), "nearest_id")


def _rejects(outliers: DataFrame, limit: float) -> DataFrame:
    """Return the columns of ``rejects``; the detail has the score and the nearest neighbour."""
    text = f"score %.1f, limit {limit:g}; distance %.4g, nearest id %s"
    detail = F.format_string(text, "score", "distance", F.col("nearest_id").cast("string"))
    return outliers.select(
        "id",
        F.lit(STAGE.name).alias("stage"),
        F.lit(OUTLIER).alias("reason"),
        detail.alias("detail"),
    )


def _guard(n_outliers: int, n_points: int, config: RunConfig) -> None:
    """Refuse to take a large part of the pool for outliers."""
    limit, score = config.hygiene.max_reject_fraction, config.outliers.max_score
    if n_outliers > limit * n_points:
        raise GuardError(
            f"{n_outliers} of {n_points} points score above outliers.max_score={score:g}, more "
            f"than hygiene.max_reject_fraction={limit}; so many are no outliers, but points that "
            "lie less densely: the rejects table names each: raise max_score, or set "
            "outliers.method: null"
        )


def _shows(run: Run) -> DataFrame:
    return rejects_shown(run.read(STAGE, REJECTS))


def _cost(sizes: Sizes) -> Iterator[Part]:
    """Estimate the search: twice each point's nearest cells, and the members of one."""
    cells = n_cells(sizes.n, sizes.d)
    pairs = sizes.n * (2.0 * cells + 2.0 * sizes.n / cells)
    speed, n_slots = sizes.machine.speed, sizes.machine.n_slots
    bins = n_solving_bins(2 * sizes.problem.n_bytes, cells, n_slots)
    yield sizes.spark(
        "gate_outliers", "neighbours", 3 * ROUTE_PER_BYTE, shuffles=3, tables=2,
        flops=2.0 * sizes.d * pairs,
        seconds=_SEARCH_SLOWER * pairs * speed.pair_seconds / n_slots,
        worker=BIN_COPIES * 2 * sizes.n_bytes / bins,
    )  # fmt: skip


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the score of an outlier."""
    gate = rejection(run.read(STAGE, REJECTS), id_)
    return so_far if gate is None else replace(so_far, gate=gate)


STAGE = Stage(
    name="gate_outliers",
    version=1,
    after=(embed_pool.STAGE,),
    reads=("seed", "outliers", "hygiene.max_reject_fraction"),
    is_on=lambda config: config.outliers.method is not None,
    command="outliers",
    summary="Turn away points far from all others.",
    tables=(REJECTS, REPORT),
    outcome=Gated,
    work=_gate,
    turned_away=lambda run: [REJECTS],
    shows=_shows,
    cost=_cost,
    explain=_explain,
)


def run(spark: SparkSession, config: RunConfig) -> Gated:
    """Find the outliers, or reuse those already found.

    Raises
    ------
    ConfigError
        If the pool has not been embedded yet.
    GuardError
        If more than ``hygiene.max_reject_fraction`` of the points are outliers.
    """
    return open_run(spark, config).do(STAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Turn away outliers."""
    from jobs.cli.command import stage_main

    return stage_main(STAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
