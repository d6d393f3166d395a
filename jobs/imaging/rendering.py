"""Render the images of captions, commit by commit, so that a killed run loses only its last."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import LeaseLostError
from jobs.imaging.captions import some_after
from jobs.imaging.generators import settings_of
from jobs.runs.work import Work
from jobs.spark.frames import kept_no_more, kept_on_disk
from jobs.spark.session import n_slots
from jobs.spark.shipping import ship_archive, ship_code
from jobs.tables.adding import add_rows
from jobs.tables.table import Table
from udfs.generate import RENDER_SCHEMA, Rendering, make_render
from udfs.generators.specs import GeneratorSpec

CHUNK_SECONDS = 60.0  # of work between two commits, approximately
_FIRST, _GROWTH = 8, 8  # captions per task in the first chunk; largest growth of the next
TASKS_A_SLOT = 4  # so that no slot stays idle while the last tasks end


@dataclass
class RenderTally:
    """What has become of the images that were asked for.

    Attributes
    ----------
    failed : columns of RENDER_SCHEMA without the image, chunk by chunk
    """

    n_done: int
    n_wanted: int
    failed: list[pa.Table]

    @property
    def n_failed(self) -> int:
        """The images that could not be made."""
        return sum(map(len, self.failed))


def renderer(
    this: Work, spec: GeneratorSpec, folder: str | None
) -> Callable[[DataFrame], DataFrame]:
    """Return the function from captions to rows of RENDER_SCHEMA, on executors.

    Parameters
    ----------
    folder : folder to write images into; None keeps them in their rows
    """
    if spec.archive is not None:
        ship_code(this.spark, spec.archive)
    if spec.pack is not None:
        ship_archive(this.spark, spec.pack())
    config = this.config
    load = partial(spec.make, settings_of(config))
    how = Rendering(load, config.seed, config.synthesis.tries, spec.n_at_once, folder)
    n_tasks = TASKS_A_SLOT * n_slots(this.spark)

    def render(captions: DataFrame) -> DataFrame:
        spread = captions.repartition(n_tasks, "caption_id")
        return spread.mapInArrow(make_render(how), RENDER_SCHEMA)

    return render


def render_all(
    this: Work,
    table: Table,
    wanted: DataFrame,
    render: Callable[[DataFrame], DataFrame],
    told: RenderTally,
    number: int,
) -> None:
    """Render what is wanted; add it to the table in commits of about a minute's work.

    Parameters
    ----------
    wanted : what ``captions.wanted_images`` returned
    number : number of the first commit

    Raises
    ------
    LeaseLostError
        If another process adds images to the same key.
    """
    began, n_before = time.monotonic(), told.n_done
    for rows, outcomes in _chunks(this, wanted, render):
        failed = outcomes.filter(pa.compute.is_valid(outcomes["error"]))
        told.failed.append(failed)
        if n_made := len(outcomes) - len(failed):
            this.require_lease()
            images = rows.where("error IS NULL")
            if not add_rows(this.lake, table, images, this.key, number):
                raise LeaseLostError(
                    f"another process has added commit {number} to {table.name}; run again"
                )
            number += 1
        told.n_done += n_made
        pace = (told.n_done - n_before) / (time.monotonic() - began)
        done = told.n_done + told.n_failed
        facts: dict[str, Any] = {"failed": told.n_failed, "images_per_second": pace}
        this.progress.update(done, told.n_wanted, **facts)


def _chunks(
    this: Work, wanted: DataFrame, render: Callable[[DataFrame], DataFrame]
) -> Iterator[tuple[DataFrame, pa.Table]]:
    """Yield rendered rows, chunk by chunk, with what became of each image, but not the image."""
    last, n = -1, _FIRST * TASKS_A_SLOT * n_slots(this.spark)
    while True:
        began = time.monotonic()
        rows = kept_on_disk(render(some_after(wanted, last, n)))
        try:
            outcomes = rows.drop("image").toArrow()
            if len(outcomes) == 0:
                return
            yield rows, outcomes
        finally:
            kept_no_more(rows)
        last = int(pa.compute.max(outcomes["caption_id"]).as_py())
        grown = n * CHUNK_SECONDS / max(0.01, time.monotonic() - began)
        n = max(1, round(min(grown, n * _GROWTH)))


def failed_first(told: RenderTally) -> str | None:
    """Return the error of the first image that could not be made."""
    for failed in told.failed:
        if len(failed):
            first = failed.sort_by([("caption_id", "ascending"), ("k", "ascending")])
            return f"{first['image_id'][0].as_py()}: {first['error'][0].as_py()}"
    return None


def jobs_of(made: DataFrame, told: RenderTally, *, guidance: float, steps: int) -> DataFrame:
    """Return a row for every image that was asked for, made or failed.

    Parameters
    ----------
    made : caption_id, k, seed, n_tries of the images that exist
    """
    names = ["caption_id", "k", "seed", "n_tries"]
    jobs = made.select(*names, F.lit("done").alias("status"), F.lit(None).alias("error"))
    if told.n_failed:
        rows = pa.concat_tables(told.failed).select([*names, "error"])
        failed = made.sparkSession.createDataFrame(rows)
        jobs = jobs.unionByName(failed.withColumn("status", F.lit("failed")))
    return jobs.withColumns({"guidance": F.lit(guidance), "steps": F.lit(steps)})
