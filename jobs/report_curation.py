"""Report what curation did to the pool, beside a uniform draw of the same size.

Reads    embeddings, metadata, rejects, nodes, assignments, samples, allocations
Writes   report: one measure a row; artifacts: one self-contained HTML page
Method   balance over the tree's nodes, coverage on independent clusterings, balance over labels
Run      evenlake report --config conf/quickstart.yaml
"""

import hashlib
import logging
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.cli.command import job_main
from jobs.config.errors import GuardError
from jobs.config.model import RunConfig
from jobs.points.hash_sample import sample_rows
from jobs.reporting.context import page_context, worse_than_uniform
from jobs.reporting.coverage_rows import coverage_rows
from jobs.reporting.node_rows import node_rows, sample_size, size_rows, tree_rows
from jobs.reporting.page import headlines as page_headlines
from jobs.reporting.page import render_page
from jobs.reporting.point_rows import label_point_rows
from jobs.reporting.rows import REPORT_SCHEMA, Row
from jobs.runs.events import Metrics
from jobs.runs.run import Run, open_run
from jobs.spark.frames import as_frame
from jobs.tables.lake import PAGES
from udfs.kernels.coverage import is_worse

log = logging.getLogger(__name__)

STAGE = "report_curation"
PAGE = "report.html"


def run(spark: SparkSession, config: RunConfig, *, within: Run | None = None) -> Metrics:
    """Report on the samples, or reuse the report that is there.

    Raises
    ------
    ConfigError
        If the samples have not been drawn yet.
    """
    this = within or open_run(spark, config)
    this.settle()
    this.figures("balance_sample")
    return this.stage(STAGE, lambda: _report(this))


def _report(this: Run) -> Metrics:
    largest = max(sample_size(this, s.name) for s in this.config.samples)
    # 1. the uniform control: the ids with the smallest hashes, as many as the largest sample
    assignments = this.lake.read("assignments", this.keys["cluster_levels"]).select("id", "leaf_id")
    wanted, n_points = [("report.control", largest)], int(this.figures("embed_pool")["n_points"])
    (control,) = sample_rows(assignments, wanted, n_points, seed=this.config.seed)
    ranks = np.arange(control.num_rows)
    controls = this.spark.createDataFrame(control.append_column("rank", [ranks]))
    # 2. measures
    rows = size_rows(this) + tree_rows(this) + node_rows(this, controls)
    rows += coverage_rows(this)
    if this.config.report.label is not None:
        rows += label_point_rows(this, controls, this.config.report.label)
    # 3. the table and the page
    table = as_frame(this.spark, rows, REPORT_SCHEMA)
    n_rows = this.write("report", table.withColumn("run_id", F.lit(this.run_id)), STAGE)
    page = render_page(page_context(this)).encode()
    content = (PAGE, "text/html", hashlib.sha256(page).hexdigest(), page)
    names = "name string, media_type string, sha256 string, content binary"
    this.write("artifacts", as_frame(this.spark, [content], names), STAGE)
    return {"n_rows": n_rows} | _headline_figures(rows)


def _headline_figures(rows: list[Row]) -> Metrics:
    """Return the measures that `runs` keeps."""
    of_coverage = ("coverage_distance", "coverage_gap", "coverage_gap_error", "effective_nodes")
    kept = {("coverage", metric) for metric in of_coverage}
    kept |= {("labels", "kl_uniform"), ("balance", "kl_uniform")}
    figures: Metrics = {}
    for row in rows:
        is_whole = row.sample is not None and row.level in (None, 1) and row.key is None
        if (row.section, row.metric) in kept and is_whole:
            figures[f"{row.sample}.{row.section}.{row.metric}"] = row.value
            if row.control is not None:
                figures[f"{row.sample}.{row.section}.{row.metric}.control"] = row.control
    return figures


def check(this: Run) -> None:
    """Warn of every sample that covers less than a uniform one; stop where the config says so.

    Raises
    ------
    GuardError
        If such a sample has ``on_worse_than_uniform: fail``.
    """
    refused = []
    for s in this.config.samples:
        gap, error = (
            this.figures(STAGE)[f"{s.name}.coverage.{name}"]
            for name in ("coverage_gap", "coverage_gap_error")
        )
        if is_worse(gap, error):
            said = worse_than_uniform(this, s.name, gap, error)
            log.warning(said)
            refused += [said] if s.on_worse_than_uniform == "fail" else []
    if refused:
        raise GuardError("; ".join(refused) + "; nothing was published")


def headlines(this: Run) -> list[str]:
    """Return one sentence per sample, the balance before and after, then the warnings."""
    context = page_context(this)
    return page_headlines(context) + [f"warning: {note}" for note in context.notes]


def export_page(this: Run) -> str:
    """Write the page beside the tables where the root is a local folder; give its address.

    Elsewhere the page stays in the ``artifacts`` table, which always has it.
    """
    root = this.config.output.root
    uri = urlparse(root or "")
    if root is None or uri.scheme not in ("", "file"):
        return f"{this.lake.shown('artifacts')} (name = {PAGE!r}, stage_key = {this.keys[STAGE]})"
    stored = this.lake.read("artifacts", this.keys[STAGE]).where(F.col("name") == PAGE)
    path = Path(uri.path if uri.scheme else root).absolute() / PAGES / f"{this.run_id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    # put in place whole, and never through a link that someone left there
    written = path.with_suffix(f".{uuid.uuid4().hex}")
    written.write_bytes(bytes(stored.select("content").collect()[0].content))
    written.replace(path)
    return str(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Report on the samples."""
    return job_main(run, argv, name="report")


if __name__ == "__main__":
    sys.exit(main())
