"""Write captions for the prompts of a plan, and check them, until every concept has its quota.

Reads    synthesis_concepts; a captioner's answers
Writes   captions: accepted ones, and others with the reason; caption_answers meanwhile; report
Method   SynCLR, arXiv 2312.17742, section 3.1; a slot whose caption is turned away is asked for
         again by another prompt, so that quotas are met exactly
Run      evenlake synthesis captions --config my.yaml synthesis.captioner=grammar
"""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import plan_synthesis
from jobs.config.errors import ConfigError, GuardError
from jobs.config.model import RunConfig
from jobs.planning import synthesis_costs
from jobs.reporting.rows import report_table
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.pace import paced
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.synthesis.asking import ANSWERS, Asking
from jobs.synthesis.captioner import captioner_pinned, chosen
from jobs.synthesis.checks import Checks
from jobs.synthesis.concepts import Concept
from jobs.synthesis.page import page_line
from jobs.synthesis.rounds import Caption, as_table, written
from jobs.synthesis.shown import (
    caption_rows,
    evenness,
    shortfall_said,
    turned_away_said,
)
from jobs.tables.shared import REPORT
from jobs.tables.table import Table
from udfs.captioners.contract import CaptionerError

log = logging.getLogger(__name__)

CAPTIONS = Table(
    "captions",
    "caption_id BIGINT, n BIGINT, concept_id BIGINT, template STRING, text STRING, is_ok BOOLEAN, "
    "reject_reason STRING, round INT, detail STRING",
)


@dataclass(frozen=True, kw_only=True)
class Captioned(Outcome):
    """What was written.

    Attributes
    ----------
    n_asked : prompts of all rounds
    n_short : captions missing of the quotas
    evenness : normalised entropy of the captions over concepts; of those of the first round; and
        of the quotas
    """

    n_captions: int
    n_asked: int
    n_rounds: int
    n_short: int
    evenness: float
    first_evenness: float
    quota_evenness: float


def _write(this: Work) -> Captioned:
    given, concepts = this.config.synthesis, plan_synthesis.concepts_of(this.run)
    prompter = plan_synthesis.prompter_of(this.config, concepts)
    concept_ids = plan_synthesis.slots_of(prompter)
    n_done = 0

    def tell(n: int) -> None:
        nonlocal n_done
        n_done = n

    # 1. ask, round after round, for the slots that have no caption yet
    captioner = chosen(given)
    asking = Asking(
        this,
        captioner.load(),
        n_at_once=captioner.n_at_once,
        at_once=captioner.at_once,
        save_every=given.calls.save_every if captioner.is_costly else None,
        tell=tell,
    )
    try:
        with paced(this.progress, STAGE.name, len(concept_ids), lambda: n_done):
            rounds = list(
                written(
                    concept_ids, prompter, Checks(concepts, given.checks), asking.answers,
                    max_rounds=given.max_rounds,
                )
            )  # fmt: skip
    except CaptionerError as error:
        raise ConfigError(f"synthesis.captioner={given.captioner!r}: {error}") from error
    # 2. the captions, with why others were turned away
    captions = [*chain.from_iterable(rounds)]
    rows = report_table(caption_rows(concepts, rounds), this.run.run_id)
    this.write_all({CAPTIONS: as_table(captions), REPORT: rows})
    return _captioned(concepts, rounds, captions)


def _captioned(
    concepts: Sequence[Concept], rounds: Sequence[Sequence[Caption]], captions: Sequence[Caption]
) -> Captioned:
    quotas, counts = [each.quota for each in concepts], _counts(concepts, captions)
    return Captioned(
        n_captions=sum(counts),
        n_asked=len(captions),
        n_rounds=len(rounds),
        n_short=sum(quotas) - sum(counts),
        evenness=evenness(counts),
        first_evenness=evenness(_counts(concepts, rounds[0])),
        quota_evenness=evenness(quotas),
    )


def _counts(concepts: Sequence[Concept], captions: Sequence[Caption]) -> list[int]:
    """Return the accepted captions of each concept."""
    counts = Counter(each.concept_id for each in captions if each.reason is None)
    return [counts[i] for i in range(len(concepts))]


STAGE = Stage(
    name="write_captions",
    version=1,
    after=(plan_synthesis.STAGE,),
    reads=(
        "synthesis.captioner",
        "synthesis.captioner_options",
        "synthesis.captioner_version",
        "synthesis.checks",
        "synthesis.max_rounds",
    ),
    is_side=True,
    pins=captioner_pinned,
    is_on=plan_synthesis.STAGE.is_on,
    command="synthesis captions",
    summary="Write captions for the plan's prompts, until every concept has its quota.",
    tables=(CAPTIONS, ANSWERS, REPORT),
    outcome=Captioned,
    work=_write,
    cost=synthesis_costs.write_captions,
)


def write(this: Run) -> Captioned:
    """Plan and write captions, or reuse them.

    Raises
    ------
    ConfigError
        If there are no concepts, the pool has not been curated yet, or the captioner cannot be
        asked.
    GuardError
        If quotas are not met and ``synthesis.on_shortfall`` is fail.
    """
    plan_synthesis.plan(this)
    done = this.do(STAGE)
    if done.n_short:
        said = _shortfall(this, done)
        if this.written.synthesis.on_shortfall == "fail":
            raise GuardError(said)
        log.warning(said)
    return done


def _shortfall(this: Run, done: Captioned) -> str:
    concepts = plan_synthesis.concepts_of(this)
    accepted = this.read(STAGE, CAPTIONS).where("is_ok").groupBy("concept_id").count().collect()
    counts = {row.concept_id: row["count"] for row in accepted}
    return shortfall_said(concepts, [counts.get(i, 0) for i in range(len(concepts))], done.n_rounds)


def run(spark: SparkSession, config: RunConfig) -> Captioned:
    """Write captions on a config; see ``write``."""
    return write(open_run(spark, config))


def _show(this: Run) -> str:
    done = write(this)
    said = [*_said(this, done)]
    tables = {
        table.name: this.lake.shown(table.name)
        for table in (plan_synthesis.CONCEPTS, plan_synthesis.CAPTION_PROMPTS, CAPTIONS)
    }
    lines = [*said, f"table: {tables['captions']} (stage_key = {this.key(STAGE)}; is_ok)"]
    lines += page_line(this, STAGE, "captions", said, tables)
    return "\n".join(lines)


def _said(this: Run, done: Captioned) -> list[str]:
    """Return what a person should know: how many, how evenly, and what was turned away."""
    missing = _shortfall(this, done) if done.n_short else "every quota is met"
    rejects = this.read(STAGE, CAPTIONS).where(~F.col("is_ok"))
    columns = ("caption_id", "reject_reason", "text", "detail")
    return [
        f"{done.n_captions:,} captions of {done.n_asked:,} prompts in {done.n_rounds} rounds",
        missing,
        f"normalised entropy over concepts: {done.evenness:.4f}, after the first round "
        f"{done.first_evenness:.4f}, of the quotas {done.quota_evenness:.4f}",
        *turned_away_said(rejects.select(*columns).toPandas()),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Write captions."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="synthesis captions", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
