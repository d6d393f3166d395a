"""Check where synthetic images land, and let them join a sample.

Reads    synthetic_images, captions, synthesis_concepts; the tree, its points, what embedded them
Writes   synthetic_points: each image's place in the tree, and whether it is its concept's home;
         synthetic_samples: a sample with the images that fill it up, if the config names one
Method   images are embedded by the run's own embedder and routed down its tree; see
         ``jobs.imaging.homes`` for what counts as landed, ``jobs.imaging.joining`` for who joins
Run      evenlake synthesis check --config my.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import (
    balance_sample,
    cluster_levels,
    embed_pool,
    plan_synthesis,
    render_images,
    write_captions,
)
from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.imaging.homes import NAMES, Homes, homes_of, owners
from jobs.imaging.images import contents_of, folder_of
from jobs.imaging.joining import (
    SYNTHETIC,
    SYNTHETIC_SAMPLES,
    joining,
    rooms,
    with_images,
)
from jobs.imaging.judged import counted, judged
from jobs.imaging.landing import embedded
from jobs.imaging.page import exported_page, said_of
from jobs.imaging.rows import balance_rows, by_group, figures_of, landing_rows, with_and_without
from jobs.planning import synthesis_costs
from jobs.pool.ids import Id
from jobs.reporting.rows import REPORT_COLUMNS, report_table
from jobs.runs.explanation import Explanation
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Rows, Work
from jobs.tables.shared import REPORT
from jobs.tables.table import Table

POINTS = Table(
    "synthetic_points",
    "image_id STRING, caption_id BIGINT, k INT, concept_id BIGINT, leaf_id BIGINT, "
    "path ARRAY<BIGINT>, sq_distance DOUBLE, level INT, node_id BIGINT, intended_node BIGINT, "
    "is_landed BOOLEAN, reason STRING, detail STRING",
)


@dataclass(frozen=True, kw_only=True)
class Checked(Outcome):
    """Where the images landed.

    Attributes
    ----------
    n_rejected : images that the run's embedder turned away
    share_landed, chance : share of the images at home; the pool's share there, averaged over images
    n_homeless : concepts whose images outnumber all others in no place
    entropy, entropy_before : normalised entropy over groups, with the images and without them
    n_joined : images that joined the sample
    """

    n_images: int
    n_rejected: int
    share_landed: float
    chance: float
    n_homeless: int
    entropy: float
    entropy_before: float
    n_joined: int


def _check(this: Work) -> Checked:
    homes = homes_of(_concepts(this.run).to_pandas())
    # 1. where every image lands, beside the real points
    images = this.persisted(_landed(this, homes))
    there, real = counted(images), _real(this, homes)
    owned = owners(homes, real, there)
    # 2. whether it is at home, and a sample that those join
    points = judged(images, owned, homes)
    outputs: dict[Table, Rows] = {POINTS: points}
    if this.config.synthesis.join is not None:
        outputs[SYNTHETIC_SAMPLES] = _joined(this, points, homes, real)
    this.write_all(outputs)
    # 3. balance with the images and without them
    counts = by_group(homes, real, there, owned, _n_joined(this))
    return _measured(this, counts, int(real["n_pool"].sum()))


def _concepts(run: Run) -> pa.Table:
    return run.fetch(plan_synthesis.STAGE, plan_synthesis.CONCEPTS, NAMES)


def _landed(this: Work, homes: Homes) -> DataFrame:
    """Return where images land : image_id, caption_id, k, concept_id, group, path, place, reason.

    Images that the embedder turned away have a reason and no place.
    """
    run = this.run
    made = this.lake.read(render_images.IMAGES, run.key(render_images.STAGE))
    values = contents_of(made, _folder(run))
    gated = embedded(this, values, embed_pool.STAGE)
    gated = this.persisted(cluster_levels.on_grid(this, gated))
    places = cluster_levels.landed(this, gated.where("reason IS NULL"))
    captions = run.read(write_captions.STAGE, write_captions.CAPTIONS)
    groups = this.spark.createDataFrame(
        homes.groups[["concept_id", "group"]], "concept_id bigint, group string"
    )
    of_image = F.col("id").alias("image_id")
    return (
        made.select("image_id", "caption_id", "k")
        .join(captions.select("caption_id", "concept_id"), on="caption_id", how="inner")
        .join(F.broadcast(groups), on="concept_id", how="inner")
        .join(gated.select(of_image, "reason", "detail"), on="image_id", how="inner")
        .join(places.withColumnRenamed("id", "image_id"), on="image_id", how="left")
        .withColumn("place", homes.place)
    )


def _folder(run: Run) -> str | None:
    return folder_of(run.lake, run.config, run.key(render_images.STAGE))


def _real(this: Work, homes: Homes) -> pd.DataFrame:
    """Count real points, and those in the sample to join : place, group, n_pool, n_sample."""
    run, label = this.run, this.config.report.label
    paths = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).select("id", "path")
    real = homes.real(paths, embed_pool.described(run), label)
    mine = _sample(this).groupBy("id").agg(F.count("*").alias("n"))
    joined = real.join(mine, on="id", how="left")
    counts = joined.groupBy("place", "group").agg(
        F.count("*").alias("n_pool"), F.sum(F.coalesce("n", F.lit(0))).alias("n_sample")
    )
    return counts.toPandas()


def _sample(this: Work) -> DataFrame:
    """Return the rows of the sample that images join : id, position; no rows if it is not named."""
    join = this.config.synthesis.join
    drawn = this.run.read(balance_sample.STAGE, balance_sample.SAMPLES)
    mine = F.lit(False) if join is None else F.col("sample") == join.sample
    return drawn.where(mine).select("id", "leaf_id", "position")


def _joined(this: Work, points: DataFrame, homes: Homes, real: pd.DataFrame) -> DataFrame:
    """Return the sample with the images that join it."""
    join = this.config.synthesis.join
    n_sample = real.dropna(subset=["group"]).groupby("group")["n_sample"].sum()
    more = joining(
        points, rooms(homes, n_sample), max_per_node=join.max_per_node if join else 0,
        seed=this.config.seed, after=int(real["n_sample"].sum()),
    )  # fmt: skip
    paths = this.run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).select("id", "path")
    own = _sample(this).join(paths, on="id", how="inner")
    return with_images(own, more, join.sample if join else "")


def _n_joined(this: Work) -> pd.DataFrame:
    """Return how many images of each concept have joined : concept_id, n_joined."""
    if SYNTHETIC_SAMPLES.name not in this.n_rows:
        return pd.DataFrame({"concept_id": [], "n_joined": []}, dtype="int64")
    rows = this.lake.read(SYNTHETIC_SAMPLES, this.key).where(F.col("source") == SYNTHETIC)
    return rows.groupBy("concept_id").agg(F.count("*").alias("n_joined")).toPandas()


def _measured(this: Work, counts: pd.DataFrame, n_points: int) -> Checked:
    """Write the report's rows, and return the figures."""
    rows = landing_rows(counts, n_points) + balance_rows(None, *with_and_without(counts))
    if (join := this.config.synthesis.join) is not None:
        own = counts["n_sample"]
        rows += balance_rows(join.sample, [*own], [*(own + counts["n_joined"])])
    this.write(REPORT, report_table(rows, this.run.run_id))
    return Checked(**figures_of(counts, n_points))


def _explain(run: Run, id_: Id, so_far: Explanation) -> Explanation:
    """Add which images landed in the point's node."""
    if not so_far.path:
        return so_far
    points, level = run.read(STAGE, POINTS), F.col("level")
    ((at,),) = points.agg(F.max("level")).collect()
    node = so_far.path[(at or 1) - 1].node_id
    here = points.where((level == at) & (F.col("node_id") == node))
    ((n, n_home),) = here.agg(F.count("*"), F.count_if("is_landed")).collect()
    said = f"synthesis: {n} images landed in its node {node} of level {at}, {n_home} as intended"
    return replace(so_far, notes=[*so_far.notes, said])


STAGE = Stage(
    name="check_synthesis",
    version=1,
    after=(
        embed_pool.STAGE,
        cluster_levels.STAGE,
        balance_sample.STAGE,
        plan_synthesis.STAGE,
        write_captions.STAGE,
        render_images.STAGE,
    ),
    reads=("seed", "report.label", "synthesis.join"),
    is_side=True,
    is_on=lambda config: config.synthesis.concepts is not None,
    command="synthesis check",
    summary="Check where synthetic images land, and let them join a sample.",
    tables=(POINTS, SYNTHETIC_SAMPLES, REPORT),
    outcome=Checked,
    work=_check,
    cost=synthesis_costs.check_images,
    explain=_explain,
)


def check(this: Run) -> Checked:
    """Check the images, or reuse what was found.

    Raises
    ------
    ConfigError
        If there are no images yet, the run's embedder takes none, or there is no sample to join.
    """
    render_images.require_on(this)
    if (join := this.written.synthesis.join) is not None:
        names = [sample.name for sample in this.written.samples]
        if join.sample not in names:
            raise ConfigError(
                f"synthesis.join.sample={join.sample!r}: want the name of a sample: "
                f"{', '.join(names)}"
            )
        if this.written.report.label is None and not _are_nodes(this):
            raise ConfigError(
                "synthesis.join: nobody knows which of the sample's rows show which concept; want "
                "report.label, a column that names it, or concepts: tree"
            )
    return this.do(STAGE)


def _are_nodes(this: Run) -> bool:
    this.require_finished(plan_synthesis.STAGE)
    return homes_of(_concepts(this).to_pandas()).by_node


def run(spark: SparkSession, config: RunConfig) -> Checked:
    """Check images on a config; see ``check``."""
    return check(open_run(spark, config))


def _show(this: Run) -> str:
    done = check(this)
    lines = said_of(done, this.written.synthesis.join)
    rows = this.fetch(STAGE, REPORT, REPORT_COLUMNS).to_pandas()
    points = this.lake.read(POINTS, this.key(STAGE))
    made = this.lake.read(render_images.IMAGES, this.key(render_images.STAGE))
    made = contents_of(made, _folder(this))
    names = _concepts(this).to_pandas()
    if (path := exported_page(this, STAGE, lines, rows, points, made, names)) is not None:
        lines.append(f"page: {path}")
    tables = ", ".join(this.lake.shown(t.name) for t in (POINTS, SYNTHETIC_SAMPLES))
    return "\n".join([*lines, f"tables: {tables} (stage_key = {this.key(STAGE)})"])


def main(argv: Sequence[str] | None = None) -> int:
    """Check where synthetic images land."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="synthesis check", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
