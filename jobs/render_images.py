"""Render images of the captions.

Reads    captions: those that are ok; synthesis_concepts
Writes   synthetic_images: some different images of each caption; image_jobs: what became of each
         that was asked for; synthesis_manifest: batches for a trainer
Method   SynCLR, arXiv 2312.17742, section 3: several images of one caption, each by its own seed
Run      evenlake synthesis images --config my.yaml
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import plan_synthesis, write_captions
from jobs.config.errors import ConfigError, GuardError
from jobs.config.model import RunConfig
from jobs.imaging.captions import wanted_images
from jobs.imaging.generators import chosen, generator_identity
from jobs.imaging.images import folder_of, for_pyarrow
from jobs.imaging.manifest import MANIFEST, manifest_of
from jobs.imaging.rendering import RenderTally, failed_first, jobs_of, render_all, renderer
from jobs.planning import synthesis_costs
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.synthesis import SynthesisConfig
from jobs.spark.errors import SPARK_ERRORS
from jobs.tables.adding import added_before, first_number
from jobs.tables.table import Table
from udfs.generators.contract import GeneratorError

log = logging.getLogger(__name__)

IMAGES = Table(
    "synthetic_images",
    "caption_id BIGINT, k INT, image_id STRING, sha256 STRING, width INT, height INT, seed BIGINT, "
    "n_tries INT, chunk BIGINT, uri STRING DEFAULT NULL, image BINARY",
    # the commit depends on the machine's speed; the hash stands for the image
    not_content=("chunk", "image", "uri"),
)
JOBS = Table(
    "image_jobs",
    "caption_id BIGINT, k INT, seed BIGINT, guidance DOUBLE, steps INT, status STRING, "
    "error STRING, n_tries INT",
)


@dataclass(frozen=True, kw_only=True)
class Rendered(Outcome):
    """What was made.

    Attributes
    ----------
    n_captions : captions that images were asked for
    n_short : captions that have fewer images than asked for
    """

    n_captions: int
    n_images: int
    n_failed: int
    n_short: int
    n_batches: int


def _render(this: Work) -> Rendered:
    given = this.config.synthesis
    captions = this.run.read(write_captions.STAGE, write_captions.CAPTIONS)
    concepts = this.run.read(plan_synthesis.STAGE, plan_synthesis.CONCEPTS)
    n_captions = captions.where("is_ok").count()
    # 1. what earlier attempts have made stays
    before, number = added_before(this.lake, IMAGES, this.key, this.incarnation), 0
    told = RenderTally(0, n_captions * given.images_per_caption, [])
    if before is not None:
        ((told.n_done, number),) = before.agg(F.count("*"), F.max("chunk")).collect()
        this.note_resumed(number, f"images={told.n_done}")
    # 2. the others, commit by commit
    wanted = wanted_images(captions, concepts, before, per_caption=given.images_per_caption)
    following = number + 1 if number else first_number(this.incarnation)
    _rendered(this, wanted, told, following)
    # 3. what became of each, and batches of what there is
    made = this.lake.read(IMAGES, this.key)
    return _written(this, made, told, n_captions)


def _rendered(this: Work, wanted: DataFrame, told: RenderTally, number: int) -> None:
    """Render, and stop where nothing at all could be made."""
    try:
        folder = for_pyarrow(folder_of(this.lake, this.config, this.key))
        render = renderer(this, chosen(this.config), folder)
        render_all(this, IMAGES, wanted, render, told, number)
    except SPARK_ERRORS as error:
        if (found := str(error).partition(f"{GeneratorError.__name__}: ")[2]) != "":
            raise ConfigError(_named(this.config, found.splitlines()[0])) from error
        raise
    if told.n_done == 0:
        why = failed_first(told) or "no caption is ok; evenlake synthesis captions has their table"
        raise ConfigError(_named(this.config, f"no image could be made; {why}"))


def _named(config: RunConfig, what: str) -> str:
    return f"synthesis.generator={config.synthesis.generator!r}: {what}"


def _written(this: Work, made: DataFrame, told: RenderTally, n_captions: int) -> Rendered:
    given = this.config.synthesis
    written = this.lake.describe(IMAGES, this.key)
    this.digests[IMAGES.name], this.n_rows[IMAGES.name] = written.digest, written.n_rows
    batches = manifest_of(made, captions_per_batch=given.captions_per_batch, seed=this.config.seed)
    jobs = jobs_of(made, told, guidance=given.guidance, steps=given.steps)
    ((last,),) = made.agg(F.max("chunk")).collect()  # rises with every commit of images
    this.rewrite(JOBS, jobs, version=last)
    this.rewrite(MANIFEST, batches, version=last)
    whole = made.groupBy("caption_id").count()
    n_whole = whole.where(F.col("count") == given.images_per_caption).count()
    done = Rendered(
        n_captions=n_captions,
        n_images=written.n_rows,
        n_failed=told.n_failed,
        n_short=n_captions - n_whole,
        n_batches=-(-this.n_rows[MANIFEST.name] // given.captions_per_batch),
    )
    _tell_shortfall(this, done, failed_first(told))
    return done


def _tell_shortfall(this: Work, done: Rendered, first: str | None) -> None:
    if done.n_short == 0:
        return
    given = this.config.synthesis
    what = (
        f"{_short(done, given)}: {done.n_failed:,} failed {given.tries} times each, the first "
        f"{first}; image_jobs has each"
    )
    if given.on_shortfall == "fail":
        raise GuardError(f"synthesis.on_shortfall=fail: {what}; fix the generator and run again")
    log.warning(what)
    this.progress.note(STAGE.name, what)


def _short(done: Rendered, given: SynthesisConfig) -> str:
    wanted = f"{done.n_short:,} of {done.n_captions:,} captions have fewer than "
    return f"{wanted}{given.images_per_caption} images"


STAGE = Stage(
    name="render_images",
    version=1,
    after=(plan_synthesis.STAGE, write_captions.STAGE),
    reads=(
        "seed",
        "synthesis.images_per_caption",
        "synthesis.generator",
        "synthesis.image_size",
        "synthesis.guidance",
        "synthesis.steps",
        "synthesis.tries",
        "synthesis.images",
        "synthesis.captions_per_batch",
    ),
    also_reads=generator_identity,
    is_side=True,
    is_on=lambda config: config.synthesis.concepts is not None,
    command="synthesis images",
    summary="Render images of the captions.",
    tables=(IMAGES, JOBS, MANIFEST),
    outcome=Rendered,
    work=_render,
    cost=synthesis_costs.render,
)


def render(this: Run) -> Rendered:
    """Render the images, or reuse them.

    Raises
    ------
    ConfigError
        If there are no captions yet, or the generator cannot be loaded or makes nothing.
    GuardError
        If images are missing and ``synthesis.on_shortfall`` is fail.
    """
    require_on(this)
    done, given = this.do(STAGE), this.written.synthesis
    if done.n_short and given.on_shortfall == "fail":  # made when it was ``warn``
        raise GuardError(
            f"synthesis.on_shortfall=fail: {_short(done, given)}; raise "
            "synthesis.tries or change synthesis.generator, so that the images are made anew"
        )
    return done


def require_on(this: Run) -> None:
    """Refuse a config without synthetic data.

    Raises
    ------
    ConfigError
    """
    if not this.is_on(STAGE):
        raise ConfigError(
            "synthesis.concepts is null, so there is nothing to render; want what evenlake "
            "synthesis plan and captions ran with"
        )


def run(spark: SparkSession, config: RunConfig) -> Rendered:
    """Render images on a config; see ``render``."""
    return render(open_run(spark, config))


def _show(this: Run) -> str:
    done, lake = render(this), this.lake
    short = f"; {done.n_short:,} captions are short of {done.n_failed:,}" if done.n_short else ""
    tables = ", ".join(lake.shown(table.name) for table in STAGE.tables)
    return (
        f"{done.n_images:,} images of {done.n_captions:,} captions; batches: {done.n_batches:,}"
        f"{short}\ntables: {tables} (stage_key = {this.key(STAGE)})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Render images of the captions."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="synthesis images", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
