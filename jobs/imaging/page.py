"""The page of synthetic images: some of each concept, those at home and those that are not."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.gallery.nodes import Exemplar, exemplar_of
from jobs.imaging.joining import SYNTHETIC
from jobs.reporting.exported import exported
from jobs.reporting.side_page import Chart, SidePage, render_side_page
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.sections.images import JoinConfig
from udfs.examples import EXAMPLES_SCHEMA, make_examples

MOST_CONCEPTS, PER_CONCEPT = 24, 6  # concepts with pictures, and pictures of each
_INTRO = (
    "Images made of captions, embedded as the pool was and routed down its tree. An image is at "
    "home where its concept is meant to be: in the concept's node, or where the concept has the "
    "most points."
)
_CHARTS = (
    Chart(
        "share_landed", "Share of a concept's images at home", "key", "concept",
        ("images", "points of the pool"),
    ),
    Chart(
        "n_points_with_images", "Points of a concept", "key", "concept",
        ("with images", "without"),
    ),
)  # fmt: skip


def said_of(done: Any, join: JoinConfig | None) -> list[str]:
    """Return what was found, a line each.

    Parameters
    ----------
    done : the outcome of ``check_synthesis``
    """
    lines = [
        f"{done.share_landed:.1%} of {done.n_images:,} images landed at their concepts' homes; of "
        f"the pool's points {done.chance:.1%} are there",
        f"evenness of groups, from 0 to 1: {done.entropy:.3f} with the images, "
        f"{done.entropy_before:.3f} without",
    ]
    if done.n_homeless:
        lines.append(
            f"{done.n_homeless:,} concepts have no home: no image of theirs landed where they are "
            "the most"
        )
    if done.n_rejected:
        lines.append(f"{done.n_rejected:,} images were turned away; synthetic_points has why")
    if join is not None:
        lines.append(
            f"{done.n_joined:,} images join the sample {join.sample}, as source = '{SYNTHETIC}'"
        )
    return lines


def pictures_of(
    points: DataFrame, made: DataFrame, concepts: pd.DataFrame
) -> list[tuple[str, list[Exemplar]]]:
    """Return some images of the first concepts, by hash, those that are not at home first.

    Parameters
    ----------
    points : rows of ``synthetic_points``
    made : image_id, value
    concepts : concept_id, concept
    """
    first = concepts.sort_values("concept_id").head(MOST_CONCEPTS)[["concept_id", "concept"]]
    shown = points.sparkSession.createDataFrame(first, "concept_id bigint, concept string")
    order = ("is_landed", F.xxhash64("image_id", F.lit("shown")), "image_id")
    place = F.row_number().over(Window.partitionBy("concept_id").orderBy(*order))
    mine = points.withColumn("turn", place).where(F.col("turn") <= PER_CONCEPT)
    mine = mine.join(F.broadcast(shown), on="concept_id", how="inner")
    picked = mine.select("image_id", "concept_id", "concept", "turn", "is_landed")
    values = made.join(picked.select("image_id"), on="image_id", how="inner")
    look = make_examples(opens_paths=False)
    rows = values.select(F.col("image_id").alias("id"), "value")
    looks = rows.mapInArrow(look, EXAMPLES_SCHEMA.format(id="string")).toPandas()
    found = picked.toPandas().merge(looks, left_on="image_id", right_on="id")
    return _grouped(found)


def _grouped(found: pd.DataFrame) -> list[tuple[str, list[Exemplar]]]:
    found = found.sort_values(["concept_id", "turn"], kind="stable")
    groups = []
    for _, mine in found.groupby("concept_id", sort=True):
        rows: list[dict[Any, Any]] = mine.to_dict("records")
        for is_landed, where in ((False, "elsewhere"), (True, "at home")):
            some = [exemplar_of(row) for row in rows if bool(row["is_landed"]) == is_landed]
            if some:
                groups.append((f"{rows[0]['concept']}: {where}", some))
    return groups


def exported_page(
    this: Run,
    stage: Stage[Any],
    said: Sequence[str],
    rows: pd.DataFrame,
    points: DataFrame,
    made: DataFrame,
    concepts: pd.DataFrame,
) -> str | None:
    """Write the page next to the tables, if those are on this machine; return its path."""
    folder = this.lake.local_folder
    if folder is None:
        return None
    names = ("synthetic_images", "synthetic_points", "synthesis_manifest", "synthetic_samples")
    page = SidePage.of(
        this.config,
        this.run_id,
        title="Synthetic images, and where they land",
        intro=_INTRO,
        said=said,
        charts=_CHARTS,
        tables={name: this.lake.shown(name) for name in names},
        columns="concept",
        control="the same of the pool without the images",
        pictures=pictures_of(points, made, concepts),
    )
    name = f"{this.run_id}-synthesis-{this.key(stage)[:8]}"
    of_concepts = rows[rows["key"].notna()]
    return exported(
        folder, name, lambda: render_side_page(page, of_concepts).encode(), is_kept=False
    )
