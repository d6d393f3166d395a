"""Divide the points into clusters, contrast within each, and distil all experts into one student.

Reads    the surviving points, or one sample; two views of each, given by id or made of embeddings
Writes   contrast_clusters: each point's cluster; contrast_targets: what the base and its cluster's
         expert say of it, for a trainer; contrast_report; artifacts: all encoders; rejects; report
Method   Divide and Contrast, arXiv 2105.08054, with linear encoders in closed form from moments
Run      evenlake contrast --config my.yaml contrast.source=pool
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, embed_pool
from jobs.config.errors import InputError
from jobs.config.model import RunConfig
from jobs.contrasting.asked import identity, require_few, require_possible
from jobs.contrasting.learning import base_of, controls_of, lessons
from jobs.contrasting.lesson import DRAW, Lesson, Points
from jobs.contrasting.measured import hardness_figures, label_figures, report_of, rows_of
from jobs.contrasting.page import Contrasted, contrast_page, said_of
from jobs.contrasting.teaching import moments_of, taught_rows
from jobs.contrasting.views import say_why_views_failed, views_for, views_pinned
from jobs.planning import costs
from jobs.points.hash_sample import sample_rows
from jobs.pool.ids import Id, is_id
from jobs.reporting.exported import exported
from jobs.reporting.rows import REPORT_COLUMNS, report_table
from jobs.reporting.side_page import render_side_page
from jobs.runs.explanation import Explanation, rejection
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.runs.sources import require_level, require_source
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.contrast import ContrastConfig
from jobs.spark.errors import SPARK_ERRORS
from jobs.spark.frames import kept_no_more, kept_on_disk
from jobs.tables.shared import ARTIFACTS, REJECTS, REPORT, artifact
from jobs.tables.table import GENERATION, Table
from udfs.blocks import from_bytes, to_bytes
from udfs.contrast import LABEL
from udfs.kernels.contrast.encoders import Encoder
from udfs.kernels.exact.hashing import derive_seed

CONTRAST_CLUSTERS = Table(
    "contrast_clusters", f"id {{id}}, cluster_id BIGINT, distance DOUBLE, {GENERATION}"
)
CONTRAST_TARGETS = Table(
    "contrast_targets",
    f"id {{id}}, cluster_id BIGINT, base ARRAY<FLOAT>, expert ARRAY<FLOAT>, {GENERATION}",
)
CONTRAST_REPORT = Table(
    "contrast_report", "metric STRING, beside STRING, value DOUBLE, control DOUBLE"
)
ENCODERS = "contrast.npz"
_VIEW_BYTES = 2  # per number


def _contrast(this: Work) -> Contrasted:
    given = this.config.contrast
    # 1. the points, each with two views; those without are rejects
    found = kept_on_disk(views_for(this, embed_pool.STAGE, _ids(this.run)))
    try:
        rejects = found.where("reason IS NOT NULL").withColumn("stage", F.lit(STAGE.name))
        n_rejected = this.write(REJECTS, rejects)
        rows = found.where("reason IS NULL").drop("reason", "detail")
        n_features = _n_features(rows, str(given.source), n_rejected)
        # 2. the base, from all points' moments
        whole = rows.withColumn(LABEL, F.lit(0))
        (moments,) = moments_of(this, whole, n_features, 1)
        base = base_of(this, whole, moments)
        wanted = [("contrast", given.student.rows)]
        (sample,) = sample_rows(rows, wanted, moments.n, seed=this.config.seed)
        points = Points(rows, moments.n, n_features, _n_nodes(this.run), sample)
        # 3. divide, contrast, distil
        lesson = _lesson(this, points, base)
        _tell(this, lesson)
        _write(this, points, lesson)
        # 4. what it is worth, beside both controls
        figures = _figures(this, points, lesson)
        report = report_of(figures)
        said = report_table(
            rows_of(str(given.source), report, lesson.merges, given.rounds), this.run.run_id
        )
        this.write_all({CONTRAST_REPORT: report, REPORT: said})
    except SPARK_ERRORS as error:
        say_why_views_failed(error)
        raise
    finally:
        kept_no_more(found)
    worth = {f"{m}.{name}": v for m, values in figures.items() for name, v in values.items()}
    return Contrasted(
        n_points=moments.n,
        n_rejected=n_rejected,
        n_clusters=len(lesson.experts),
        n_merged=len(lesson.merges),
        n_sampled=len(sample),
        worth=worth,
    )


def _ids(run: Run) -> DataFrame:
    """Return the source's points : id, draw; and label, if the tree divides them."""
    given = run.config.contrast
    ids = balance_sample.ids_of(run, str(given.source))
    draw = F.xxhash64("id", F.lit("contrast.draw"), F.lit(run.config.seed)).alias(DRAW)
    if given.level is None:
        return ids.select("id", draw)
    paths = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS)
    node = F.col("path")[given.level - 1].cast("int").alias(LABEL)
    return ids.join(paths.select("id", node), on="id", how="inner").select("id", draw, LABEL)


def _n_nodes(run: Run) -> int | None:
    level = run.config.contrast.level
    return None if level is None else run.outcome(cluster_levels.STAGE).n_nodes[level - 1]


def _n_features(rows: DataFrame, source: str, n_rejected: int) -> int:
    """Return a view's length.

    Raises
    ------
    InputError
        If fewer than two points have views.
    """
    some = rows.select(F.octet_length("a").alias("n_bytes")).take(2)
    if len(some) < 2:
        raise InputError(
            f"contrast: {len(some)} of the rows of {source!r} have two views, {n_rejected} have "
            "none; want two or more: the rejects table names each row, check contrast.views"
        )
    return int(some[0].n_bytes) // _VIEW_BYTES


def _lesson(this: Work, points: Points, base: Encoder) -> Lesson:
    """Learn, or take what an earlier attempt has learned, so that all tables share one lesson."""
    content = b""
    if this.is_repeated and this.lake.exists(ARTIFACTS):
        kept = this.lake.read(ARTIFACTS, this.key).where(F.col("name") == ENCODERS)
        content = b"".join(bytes(row.content) for row in kept.select("content").collect())
    if not content:
        content = to_bytes(lessons(this, points, base).arrays())
    this.write(ARTIFACTS, artifact(ENCODERS, "application/x-npz", content))
    return Lesson.of(from_bytes(content))


def _tell(this: Work, lesson: Lesson) -> None:
    """Report which clusters were merged."""
    for cluster, n_points, into in lesson.merges:
        if n_points:
            said = f"cluster {cluster}, {n_points} points, joins {into}"
            this.progress.note(STAGE.name, said)


def _write(this: Work, points: Points, lesson: Lesson) -> None:
    taught = taught_rows(
        this, points.rows, lesson.division, lesson.experts, lesson.merged, lesson.centroids
    )
    kept = kept_on_disk(taught)
    try:
        this.write_all(
            {
                CONTRAST_CLUSTERS: kept.select("id", "cluster_id", "distance"),
                CONTRAST_TARGETS: kept.select("id", "cluster_id", "base", "expert"),
            }
        )
    finally:
        kept_no_more(kept)


def _figures(this: Work, points: Points, lesson: Lesson) -> dict[str, dict[str, float]]:
    seed, label = derive_seed(this.config.seed, 3), this.config.report.label
    students, parts = controls_of(this, points, lesson)
    figures = hardness_figures(points.views, lesson.division.encoder, parts, seed=seed)
    if label is None:
        return figures
    y = _labels(this, points.sample, label)
    if not (y != "").any():
        return figures
    return figures | label_figures(points.views, students, y, seed=seed)


def _labels(
    this: Work, sample: pa.Table, label: str
) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
    """Return the labels of a sample : (n,); empty where there is none."""
    named = F.coalesce(F.col("metadata")[label], F.lit("")).alias("label")
    described = this.run.read(embed_pool.STAGE, embed_pool.METADATA).select("id", named)
    ids = F.broadcast(this.spark.createDataFrame(sample.select(["id"])))
    found = described.join(ids, on="id", how="leftsemi").toArrow().to_pydict()
    label_of = dict(zip(found["id"], found["label"], strict=True))
    return np.array([label_of[id_] for id_ in sample["id"].to_pylist()], dtype=np.str_)


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add the point's cluster, and how far it is from its centroid."""
    rows = run.read(STAGE, CONTRAST_CLUSTERS).where(is_id(id_)).collect()
    if rows:
        said = f"cluster {rows[0].cluster_id}, {rows[0].distance:.3g} from its centroid"
    else:
        why = rejection(run.read(STAGE, REJECTS), id_)
        said = "in no cluster" + ("" if why is None else f": {why.reason}, {why.detail}")
    return replace(so_far, notes=[*so_far.notes, f"contrast: {said}"])


# except its batches, which another stage makes
_READ = [f"contrast.{key}" for key in ContrastConfig.model_fields if key != "batches"]

STAGE = Stage(
    name="divide_contrast",
    version=1,
    after=(embed_pool.STAGE, cluster_levels.STAGE, balance_sample.STAGE),
    reads=("seed", "report.label", *_READ),
    also_reads=identity,
    is_side=True,
    pins=views_pinned,
    is_on=lambda config: config.contrast.source is not None and config.contrast.views is not None,
    command="contrast",
    summary="Divide the points into clusters, contrast within each, and distil into one student.",
    tables=(CONTRAST_CLUSTERS, CONTRAST_TARGETS, CONTRAST_REPORT, ARTIFACTS, REJECTS, REPORT),
    outcome=Contrasted,
    work=_contrast,
    cost=costs.contrast,
    explain=_explain,
)


def contrast(this: Run) -> Contrasted:
    """Divide and contrast, or reuse what was found.

    Raises
    ------
    ConfigError
        If there is nothing to divide, or the pool has not been curated yet.
    InputError
        If too few rows have two views.
    """
    given = this.written.contrast
    require_source(this, "contrast.source", given.source)
    require_possible(this.written)
    require_level(this, "contrast.level", given.level, "null, for k-means to contrast.n_clusters")
    if this.has_finished(cluster_levels.STAGE):
        require_few(given.level, _n_nodes(this))
    return this.do(STAGE)


def run(spark: SparkSession, config: RunConfig) -> Contrasted:
    """Divide and contrast on a config; see ``contrast``."""
    return contrast(open_run(spark, config))


def _show(this: Run) -> str:
    done = contrast(this)
    lines = [*said_of(done), f"table: {this.lake.shown(CONTRAST_TARGETS.name)} (stage_key = "
             f"{this.key(STAGE)})"]  # fmt: skip
    if (folder := this.lake.local_folder) is not None:
        rows = this.fetch(STAGE, REPORT, REPORT_COLUMNS).to_pandas()
        names = (CONTRAST_CLUSTERS.name, CONTRAST_TARGETS.name, CONTRAST_REPORT.name)
        tables = {name: this.lake.shown(name) for name in names}
        page = contrast_page(this.config, this.run_id, said_of(done), tables)
        name = f"{this.run_id}-contrast-{this.key(STAGE)[:8]}"
        path = exported(folder, name, lambda: render_side_page(page, rows).encode(), is_kept=False)
        lines.append(f"page: {path}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Divide and contrast."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="contrast", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
