"""Report what curation did to the pool, compared with a uniform draw of the same size.

Reads    embeddings, metadata, rejects, nodes, assignments, samples, allocations
Writes   report: one measure per row; artifacts: one self-contained HTML page
Method   balance over the tree's nodes; coverage on independent nodes and communities; balance over
         labels
Run      evenlake report --config conf/quickstart.yaml
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, embed_pool
from jobs.advice.evidence import evidence_rows, judges_of
from jobs.advice.recommendation import recommendation_rows, recommendations
from jobs.config.errors import GuardError
from jobs.config.model import RunConfig
from jobs.config.version import code_version
from jobs.gallery.view import looked_at
from jobs.judging.recommendation import Recommendation
from jobs.judging.verdict import verdict_kept
from jobs.labels.measured import measured_labels
from jobs.labels.probe import TRAINED_ROWS
from jobs.outliers.scatter import scatter_limit
from jobs.pictures.leaf_map import map_rows, mapped_level
from jobs.pictures.size_curve import prefix_of, size_rows
from jobs.pictures.tiles import tile_rows
from jobs.planning import costs
from jobs.points.hash_sample import vectors_of
from jobs.points.surviving import (
    passed,
    sample_among,
    sample_points,
    shown_by_gates,
    size_of,
)
from jobs.reporting.context import Reported, page_context
from jobs.reporting.coverage_rows import (
    MAX_COMPARED,
    wanted_samples,
)
from jobs.reporting.exported import Exported, content_of, exported
from jobs.reporting.node_rows import node_rows
from jobs.reporting.page import PageContext, render_page, sentences
from jobs.reporting.rows import REPORT_COLUMNS, Row, headline_figures, report_table
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome, per, unkept
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.tables.shared import ARTIFACTS, REJECTS, REPORT, artifact, rejects_shown
from jobs.telling.warnings import worse_than_uniform

log = logging.getLogger(__name__)

PAGE = "report.html"
_SHOWN = ("embeddings", "rejects", "nodes", "assignments", "samples", "report", "runs")
_LONGEST_SUMMARY = 9_000  # characters that fit into the ledger's notes
_KEPT = r"\w+\.(?:coverage|communities|labels|balance)\.\w+(?:\.control)?"


@dataclass(frozen=True, kw_only=True)
class Measured(Outcome):
    """The headline measures, by sample, section and metric; the rest is in the table.

    Attributes
    ----------
    said : what a person should know about the samples, one line each; empty if read from the ledger
    """

    n_rows: int
    headlines: dict[str, float] = per("{}", _KEPT)
    said: tuple[str, ...] = unkept(())

    @property
    def summary(self) -> str | None:
        """Return these lines, for the ledger's notes."""
        text = "\n".join(self.said)
        return text if 0 < len(text) <= _LONGEST_SUMMARY else None


def _measure(this: Work) -> Measured:
    run = this.run
    # 1. each stage's measures of its own output
    rows: list[Row] = []
    for stage in run.recipe.on(run.written):
        rows += stage.report(run) if stage.report is not None else []
    # 2. against a uniform draw: over the tree's nodes, on independent clusterings, over labels
    control = balance_sample.uniform_draw(run, "report.control")
    sizes = run.outcome(balance_sample.STAGE).sizes
    controls = {name: control.slice(0, size) for name, size in sizes.items()}
    columns = ("level", "node_id", "parent_id", "n_points")
    nodes = run.fetch(cluster_levels.STAGE, cluster_levels.NODES, columns)
    columns = ("sample", "level", "node_id", "quota")
    quotas = run.fetch(balance_sample.STAGE, balance_sample.ALLOCATIONS, columns)
    leaves = {name: drawn["leaf_id"].to_numpy() for name, drawn in controls.items()}
    rows += node_rows(nodes, quotas, leaves)
    first = run.config.samples[0].name
    rows += tile_rows(nodes, quotas, first)
    level = mapped_level(run.outcome(cluster_levels.STAGE).n_nodes)
    centroids = cluster_levels.nodes_of(run, level)
    rows += map_rows(level, centroids, quotas, first)
    rows += _judged_rows(run)
    if run.config.report.label is not None:
        rows += _label_rows(run, run.config.report.label, controls)
    # 3. whether it pays; the table and the page
    rows += recommendation_rows(rows, [*sizes], run.config.report.judge, run.config.led)
    table = report_table(rows, run.run_id)
    context = _context(run, _all_rows(run, table))
    context = _with_examples(run, context, quotas.join(nodes, ["level", "node_id"]))
    page = render_page(context).encode()
    this.write_all({REPORT: table, ARTIFACTS: artifact(PAGE, "text/html", page)})
    said = tuple(sentences(context))
    return Measured(n_rows=len(rows), headlines=headline_figures(rows), said=said)


def _with_examples(run: Run, context: PageContext, allocations: pa.Table) -> PageContext:
    """Add points to look at, unless the config asks for none."""
    if run.config.report.examples == 0:
        return context
    gone = [*shown_by_gates(run)]
    if run.outcome(embed_pool.STAGE).n_rejected:
        gone.append(rejects_shown(run.read(embed_pool.STAGE, REJECTS)))
    gallery, turned_away = looked_at(
        run.pool,
        run.config,
        allocations,
        run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS),
        run.read(balance_sample.STAGE, balance_sample.SAMPLES),
        gone,
    )
    return replace(context, gallery=gallery, turned_away=turned_away)


def _judged_rows(run: Run) -> list[Row]:
    """Measure the samples on independent clusterings, and the first one by size."""
    sizes, first = run.outcome(balance_sample.STAGE).sizes, run.config.samples[0].name
    compared = {name: min(size, MAX_COMPARED) for name, size in sizes.items()}
    unit = run.outcome(cluster_levels.STAGE).grid_unit
    drawn = sample_points(run, wanted_samples(max(compared.values())))
    judges = judges_of(drawn, run.config.seed, unit)
    points = {name: _sampled(run, name, n) for name, n in compared.items()}
    known = None if sizes[first] > MAX_COMPARED else points[first]
    prefix = prefix_of(run, balance_sample.first_of(run, first, MAX_COMPARED), known)
    by_size = size_rows(first, vectors_of(prefix, unit), judges)
    return [*evidence_rows(run, points, drawn, judges), *by_size]


def _sampled(run: Run, name: str, n_rows: int) -> pa.Table:
    """Return a sample's points, or a hash sample of them if there are too many."""
    ids, size = balance_sample.ids_of(run, name), run.outcome(balance_sample.STAGE).sizes[name]
    (replicas,) = (s.replicas for s in run.config.samples if s.name == name)
    n_ids = -(-size // replicas)  # at least
    return sample_among(run, ids, ("report.compared", n_rows), n_ids=n_ids)


def _label_rows(run: Run, label: str, controls: Mapping[str, pa.Table]) -> list[Row]:
    """Measure a named label."""
    described = passed(run, run.read(embed_pool.STAGE, embed_pool.METADATA))
    described = described.select("id", F.col("metadata")[label].alias("label"))
    described = described.where("label IS NOT NULL")
    drawn = run.read(balance_sample.STAGE, balance_sample.SAMPLES)
    samples = {name: _sampled(run, name, TRAINED_ROWS) for name in controls}
    unit = run.outcome(cluster_levels.STAGE).grid_unit
    return measured_labels(run, described, drawn, controls, samples, unit)


def _all_rows(run: Run, mine: pa.Table) -> pd.DataFrame:
    """Return the rows of this report, and those that other stages wrote themselves."""
    others = [s for s in run.recipe.on(run.written) if REPORT in s.tables and s is not STAGE]
    tables = [mine.select([*REPORT_COLUMNS])]
    tables += [run.fetch(stage, REPORT, REPORT_COLUMNS) for stage in others]
    rows: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return rows


def _reported(run: Run) -> Reported:
    return Reported(
        run_id=run.run_id,
        written=run.written,
        config=run.config,
        inputs={run.pool.name: run.pool.fingerprint},
        tables={table: run.lake.shown(table) for table in _SHOWN},
        published={s.name: run.lake.shown(f"sample_{s.name}") for s in run.config.samples},
        sizes=run.outcome(balance_sample.STAGE).sizes,
        n_points=size_of(run).n_points,
        code_version=code_version(),
    )


def check(run: Run) -> None:
    """Warn of every sample that covers less than a uniform one; fail if the config says so.

    Raises
    ------
    GuardError
        If such a sample has ``on_worse_than_uniform: fail``.
    """
    refused, measures = [], run.outcome(STAGE).headlines
    given, levels = run.written.cluster.levels, run.config.cluster.levels
    for s in run.config.samples:
        verdict = verdict_kept(measures, s.name)
        if verdict.state == "worse" and run.config.is_to_cover(s):
            warning = worse_than_uniform(s, verdict, given=given, levels=levels)
            log.warning(warning)
            refused += [warning] if s.on_worse_than_uniform == "fail" else []
    if refused:
        raise GuardError("; ".join(refused) + "; nothing was published")


def advice(run: Run) -> list[Recommendation]:
    """Return what a finished report advises for each sample: curate, guard the pool, or do not."""
    return [*_reread(run).advice]


def headlines(run: Run) -> list[str]:
    """Return the balance before and after, one sentence per sample, then the warnings."""
    if (said := run.summary(STAGE)) is not None:
        lines = said.splitlines()
    else:
        lines = sentences(_reread(run))
    files = run.pool.files
    if files is not None and files.passed_over:
        lines.insert(1, f"files passed over: {files.passed_over}")
    return lines


def _reread(run: Run) -> PageContext:
    return _context(run, _all_rows(run, run.fetch(STAGE, REPORT, REPORT_COLUMNS)))


def _context(run: Run, rows: pd.DataFrame) -> PageContext:
    """Return what the page shows, except single points."""
    names, judge = [*run.outcome(balance_sample.STAGE).sizes], run.config.report.judge
    context = page_context(_reported(run), rows)
    return replace(context, advice=recommendations(rows, names, judge, run.config.led))


def export_page(run: Run) -> str:
    """Write the page next to the tables, or leave it in ``artifacts`` alone; return its address."""
    if (folder := run.lake.local_folder) is None:
        return f"{run.lake.shown('artifacts')} (name = {PAGE!r}, stage_key = {run.key(STAGE)})"
    return exported(folder, run.run_id, partial(page_of, run), is_kept=STAGE.name in run.reused)


def page_of(run: Run) -> bytes:
    """Return the page of a finished report, UTF-8 HTML; a ConfigError if there is none yet."""
    run.require_finished(STAGE)
    return content_of(run.fetch(STAGE, ARTIFACTS, ("name", "content")), PAGE)


def _show(this: Run) -> Exported:
    """Report, and write the page next to the tables."""
    this.do(STAGE)
    return Exported(headlines(this), export_page(this))


STAGE = Stage(
    name="report_curation",
    version=8,
    after=(balance_sample.STAGE,),
    reads=("seed", "report"),
    also_reads=scatter_limit,
    command="report",
    summary="Report on the samples, beside a uniform draw.",
    tables=(REPORT, ARTIFACTS),
    outcome=Measured,
    work=_measure,
    cost=costs.report,
)


def run(spark: SparkSession, config: RunConfig) -> Measured:
    """Report on the samples, or reuse an existing report.

    Raises
    ------
    ConfigError
        If the samples have not been drawn yet.
    """
    return open_run(spark, config).do(STAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Report on the samples."""
    from jobs.cli.command import job_main

    return job_main(_show, argv, name="report", summary=STAGE.summary, has_page=True)


if __name__ == "__main__":
    sys.exit(main())
