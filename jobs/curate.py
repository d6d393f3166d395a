"""Curate a pool: embed it, grow its tree, draw balanced samples, report, publish.

Reads    the pool
Writes   every table of the stages below, and sample_<name>: what trainers read
Method   Automatic Data Curation for Self-Supervised Learning, arXiv 2405.15613
Run      evenlake curate --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession

from jobs import (
    balance_sample,
    cluster_levels,
    embed_pool,
    find_duplicates,
    gate_outliers,
    plan_run,
    publish_samples,
    report_curation,
    tune_tree,
)
from jobs.config.model import RunConfig
from jobs.ledger.events import Figures
from jobs.runs.opening import open_run
from jobs.runs.run import Run


@dataclass(frozen=True)
class RunSummary:
    """The result of a run; as text, what the command prints last."""

    run_id: str
    samples: dict[str, str]
    report_path: str
    balance: list[str]
    metrics: dict[str, Figures]
    reused: list[str]
    passed_over: list[str]

    def __str__(self) -> str:
        """Return the balance before and after, and where the samples and the report are."""
        later = "; a run that began later published it, this one's is in the table samples"
        samples = [
            f"sample {name}: {address}{later if name in self.passed_over else ''}"
            for name, address in self.samples.items()
        ]
        return "\n".join([*self.balance, *samples, f"report: {self.report_path}"])


def curate(this: Run) -> RunSummary:
    """Run the whole recipe; stages whose key has finished are reused.

    Raises
    ------
    CurationError
        Or a subclass, saying what was found, what is wanted, and the fix.
    """
    published = publish_samples.require_publishable(this)

    # Estimate what the run will take; one that cannot fit ends here, before writing anything.
    plan_run.check(this)

    with this.under_way():
        # Section 3.1: a vector for every point; rows without one are rejected, with a reason.
        this.do(embed_pool.STAGE)

        # Copies would make spuriously dense leaves: one of each stays.
        if this.is_on(find_duplicates.STAGE):
            this.do(find_duplicates.STAGE)

        # Scattered points would get a leaf each, and a large part of every sample.
        if this.is_on(gate_outliers.STAGE):
            this.do(gate_outliers.STAGE)

        # The levels that fit the data, if the config leaves them open: trees over a hash sample are
        # judged by how well their samples cover the pool.
        if this.is_on(tune_tree.STAGE):
            this.do(tune_tree.STAGE)

        # Sections 3.2 and 3.3: k-means, and k-means of its centroids, with resampling at every
        # level, so that clusters spread over the concepts in the data instead of following its
        # density.
        this.do(cluster_levels.STAGE)

        # Section 3.4: quotas shared out from the top of the tree down, then points drawn by leaf.
        this.do(balance_sample.STAGE)

        # Section 4, on the user's own pool: before, after, and a uniform draw of the same size.
        this.do(report_curation.STAGE)

    # A sample that covers less than a uniform one brings a warning, or stops the run.
    report_curation.check(this)

    # Only a run that got this far changes what trainers read.
    passed_over = publish_samples.publish_samples(this, published)
    return RunSummary(
        run_id=this.run_id,
        samples={s.name: this.lake.shown(f"sample_{s.name}") for s in this.config.samples},
        report_path=report_curation.export_page(this),
        balance=report_curation.headlines(this),
        metrics=this.metrics,
        reused=this.reused,
        passed_over=passed_over,
    )


def run(spark: SparkSession, config: RunConfig) -> RunSummary:
    """Run the whole recipe on a config; see ``curate``."""
    return curate(open_run(spark, config))


def page(spark: SparkSession, config: RunConfig) -> str:
    """Return the report page of a config's finished run as HTML, for a notebook to display.

    Raises
    ------
    ConfigError
        If the run has not finished.
    """
    return report_curation.page_of(open_run(spark, config)).decode()


def main(argv: Sequence[str] | None = None) -> int:
    """Curate a pool."""
    from jobs.cli.command import job_main

    return job_main(curate, argv, name="curate", has_page=True)


if __name__ == "__main__":
    sys.exit(main())
