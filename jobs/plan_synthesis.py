"""Plan synthetic data for what the lake has little of: concepts, their quotas, and prompts.

Reads    the tree, the points' labels or a table of concepts; no model
Writes   synthesis_concepts: each with its points, weight and quota; caption_prompts; report
Method   SynCLR, arXiv 2312.17742, section 3.1: three templates, demonstrations for in-context
         completion; here a concept weighs by (1 + points of the pool)^-occupancy
Run      evenlake synthesis plan --config my.yaml synthesis.concepts=tree synthesis.n_captions=1000
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import cluster_levels, embed_pool
from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.planning import synthesis_costs
from jobs.points.surviving import passed
from jobs.reporting.rows import report_table
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.sources import require_level
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.synthesis import LABEL, TREE, ConceptsConfig, SynthesisConfig
from jobs.synthesis import concepts as named
from jobs.synthesis import prompts
from jobs.synthesis.concepts import Concept
from jobs.synthesis.given import concepts_pinned, given_concepts
from jobs.synthesis.nodes import NAMELESS, by_majority, by_words
from jobs.synthesis.page import page_line
from jobs.synthesis.prompts import Prompter
from jobs.synthesis.shown import plan_said, share_rows
from jobs.tables.shared import REPORT
from jobs.tables.table import Table

CONCEPTS = Table(
    "synthesis_concepts",
    "concept_id BIGINT, concept STRING, aliases ARRAY<STRING>, backgrounds ARRAY<STRING>, "
    "level INT, node_id BIGINT, n_points BIGINT, weight DOUBLE, quota BIGINT",
)
CAPTION_PROMPTS = Table(
    "caption_prompts",
    "n BIGINT, concept_id BIGINT, template STRING, extra STRING, demonstrations ARRAY<STRING>, "
    "prompt STRING, seed BIGINT",
)


@dataclass(frozen=True, kw_only=True)
class Planned(Outcome):
    """What was planned.

    Attributes
    ----------
    n_missing : concepts of which the pool has no point
    smallest, largest : quotas
    """

    n_concepts: int
    n_prompts: int
    n_missing: int
    smallest: int
    largest: int


def _plan(this: Work) -> Planned:
    given = this.config.synthesis
    # 1. the concepts, by the points that the pool has of them
    found = named.with_quotas(_concepts(this, given), n_captions(given), given.occupancy)
    # 2. a prompt for each slot
    prompter = prompter_of(this.config, found)
    concept_ids = slots_of(prompter)
    n = np.arange(len(concept_ids), dtype=np.int64)
    quotas = [each.quota for each in found]
    this.write_all(
        {
            CONCEPTS: named.as_table(found),
            CAPTION_PROMPTS: prompts.as_table(prompter.prompts(n, concept_ids)),
            REPORT: report_table(share_rows(found, quotas, "0"), this.run.run_id),
        }
    )
    return Planned(
        n_concepts=len(found),
        n_prompts=len(n),
        n_missing=sum(each.n_points == 0 for each in found),
        smallest=min(quotas),
        largest=max(quotas),
    )


def n_captions(given: SynthesisConfig) -> int:
    """Return how many captions are wanted; the config is known to say so."""
    return int(given.n_captions or 0)


def prompter_of(config: RunConfig, concepts: Sequence[Concept]) -> Prompter:
    """Return what makes the prompts of planned concepts."""
    return Prompter(concepts, config.seed, config.synthesis.backgrounds)


def slots_of(prompter: Prompter) -> NDArray[np.int64]:
    """Return the concept of each slot : (n_captions,) int64."""
    n_slots = sum(each.quota for each in prompter.concepts)
    return named.slots(prompter.concepts, prompter.order(n_slots))


# --- where concepts come from ---------------------------------------------------------------------


def _concepts(this: Work, given: SynthesisConfig) -> list[Concept]:
    if given.concepts == TREE:
        return named.checked(_nodes(this), "synthesis.concepts: tree")
    by_label = _by_label(this) if this.config.report.label is not None else None
    if given.concepts == LABEL:
        labels = sorted((by_label or {}).items())
        found = [Concept(label, n_points=n) for label, n in labels]
        return named.checked(found, f"report.label={this.config.report.label!r}")
    table = given.concepts
    if not isinstance(table, ConceptsConfig):
        raise ConfigError("synthesis.concepts is missing; want tree, label, or a table")
    found = named.checked(given_concepts(this.spark, table), f"synthesis.concepts={table.table!r}")
    return found if by_label is None else named.counted(found, by_label)


def _labelled(run: Run) -> DataFrame:
    """Return the surviving points that have a label : id, label."""
    label = F.col("metadata")[run.config.report.label].alias("label")
    rows = passed(run, run.read(embed_pool.STAGE, embed_pool.METADATA)).select("id", label)
    return rows.where(F.trim("label") != "")


def _by_label(this: Work) -> dict[str, int]:
    counts = _labelled(this.run).groupBy("label").count().collect()
    return {row.label: row["count"] for row in counts}


def _nodes(this: Work) -> list[Concept]:
    """Return the nodes of a level, named by their most frequent label or by words of their own."""
    run, config = this.run, this.config
    level = config.synthesis.level or len(config.cluster.levels)
    tree = ("level", "node_id", "n_points")
    rows = run.fetch(cluster_levels.STAGE, cluster_levels.NODES, tree).to_pandas()
    nodes = rows[rows["level"] == level].sort_values("node_id")
    paths = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS)
    of_node = paths.select("id", F.col("path")[level - 1].alias("node_id"))
    if config.report.label is not None:
        called = by_majority(of_node, _labelled(run))
    else:
        called = by_words(of_node, run.pool, config, n_nodes=len(nodes))
    found = [
        Concept(*called.get(node, NAMELESS), level=level, node_id=node, n_points=n)
        for node, n in zip(nodes["node_id"].tolist(), nodes["n_points"].tolist(), strict=True)
    ]
    kept = [each for each in found if each.name]
    if len(kept) < len(found):
        n = len(found) - len(kept)
        this.progress.note(STAGE.name, f"{n} nodes have no label or words, and are left out")
    return kept


STAGE = Stage(
    name="plan_synthesis",
    version=1,
    after=(embed_pool.STAGE, cluster_levels.STAGE),
    reads=(
        "seed",
        "report.label",
        "synthesis.concepts",
        "synthesis.level",
        "synthesis.occupancy",
        "synthesis.n_captions",
        "synthesis.backgrounds",
    ),
    is_side=True,
    pins=concepts_pinned,
    is_on=lambda config: config.synthesis.concepts is not None,
    command="synthesis plan",
    summary="Plan captions for concepts that the pool has few of: quotas and prompts, no model.",
    tables=(CONCEPTS, CAPTION_PROMPTS, REPORT),
    outcome=Planned,
    work=_plan,
    cost=synthesis_costs.plan_prompts,
)


def plan(this: Run) -> Planned:
    """Plan, or reuse the plan.

    Raises
    ------
    ConfigError
        If there are no concepts to plan for, or the pool has not been curated yet.
    InputError
        If concepts have no proper names or weights.
    """
    require_concepts(this)
    return this.do(STAGE)


def require_concepts(this: Run) -> None:
    """Make sure that the config names concepts, and what names nodes.

    Raises
    ------
    ConfigError
    """
    written, given = this.written, this.written.synthesis
    if given.concepts is None:
        raise ConfigError(
            "synthesis.concepts is missing; want tree, label, or a table of concepts such as "
            "{table: /lake/concepts, concept: name}"
        )
    if given.concepts == LABEL and written.report.label is None:
        raise ConfigError(
            "synthesis.concepts: label reads report.label, which is missing; want the name of a "
            "column of input.metadata"
        )
    if given.concepts != TREE:
        return
    require_level(this, "synthesis.level", given.level)
    if written.report.label is None and written.input.content is None:
        raise ConfigError(
            "synthesis.concepts: tree names nodes by their texts or their labels, and the config "
            "has neither input.content nor report.label; want one of them"
        )


def concepts_of(run: Run) -> list[Concept]:
    """Return the planned concepts, by their ids."""
    columns = [column.name for column in CONCEPTS.columns]
    return named.from_table(run.fetch(STAGE, CONCEPTS, columns))


def run(spark: SparkSession, config: RunConfig) -> Planned:
    """Plan on a config; see ``plan``."""
    return plan(open_run(spark, config))


def _show(this: Run) -> str:
    plan(this)
    said = plan_said(concepts_of(this))
    tables = {table.name: this.lake.shown(table.name) for table in (CONCEPTS, CAPTION_PROMPTS)}
    lines = [*said, f"tables: {', '.join(tables.values())} (stage_key = {this.key(STAGE)})"]
    lines += page_line(this, STAGE, "synthesis", said, tables)
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Plan."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="synthesis plan", summary=STAGE.summary)


if __name__ == "__main__":
    sys.exit(main())
