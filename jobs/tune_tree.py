"""Find the levels and the share that fit this pool, judged by coverage, without labels.

Reads    embeddings: a hash sample
Writes   report: every tree tried at last, beside the uniform control; the choice goes into runs
Method   successive halving over trees of a hash sample, judged on independent clusterings;
         ``jobs.tuning``
Run      evenlake tune --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from threadpoolctl import threadpool_limits

from jobs.lake.command import job_main
from jobs.lake.config import RunConfig
from jobs.lake.events import Metrics
from jobs.lake.frames import as_frame
from jobs.lake.hash_sample import sample_rows, vectors_of
from jobs.lake.host import n_threads
from jobs.lake.runs import Run, open_run
from jobs.lake.settling import figures_of, settled
from jobs.reporting.rows import REPORT_SCHEMA, Row
from jobs.tuning.families import n_sampled
from jobs.tuning.search import Choice, Problem, search
from udfs.kernels.grid import grid_unit
from udfs.kernels.hashing import derive_seed

STAGE = "tune_tree"


@dataclass(frozen=True)
class Tuned:
    """What was chosen; as text, YAML to paste."""

    config: RunConfig
    figures: Metrics

    def __str__(self) -> str:
        """Give the choice as YAML, after a line that says how it covers."""
        cluster = self.config.cluster
        plain: dict[str, Any] = {
            "cluster": {
                "levels": list(cluster.levels),
                "resampling": cluster.resampling.model_dump(),
            },
            "samples": [
                {"name": s.name, "share": s.share.model_dump()} for s in self.config.samples
            ],
        }
        score, best = self.figures["relative_coverage"], self.figures["best_relative_coverage"]
        said = (
            f"# coverage distance {score:.3f} of a uniform sample's on the hash sample (the best "
            f"of {self.figures['n_tried']:.0f} has {best:.3f})"
        )
        return said + "\n" + str(yaml.safe_dump(plain, sort_keys=False)).rstrip()


def run(spark: SparkSession, config: RunConfig, *, within: Run | None = None) -> Tuned:
    """Choose, or reuse the choice that is there; the run goes on with it.

    A config that leaves nothing to ``auto`` is tuned for the sake of the comparison alone.

    Raises
    ------
    ConfigError
        If the pool is not embedded yet.
    """
    this = within or open_run(spark, config)
    embedded = this.figures("embed_pool")
    figures = this.stage(STAGE, lambda: _tune(this, embedded))
    this.settle()
    return Tuned(settled(this.recipe, figures), figures)


def _tune(this: Run, embedded: Metrics) -> Metrics:
    n_points, n_features = int(embedded["n_points"]), int(embedded["n_features"])
    config, cluster = this.recipe, this.recipe.cluster
    # 1. a hash sample of the pool
    embeddings = this.lake.read("embeddings", this.keys["embed_pool"])
    unit = grid_unit(embedded["largest_norm"])
    rows = embeddings.select("id", "embedding")
    (sampled,) = sample_rows(
        rows, [("tune_tree", n_sampled(n_points, n_features))], n_points, seed=config.seed
    )
    points = vectors_of(sampled, unit)
    # 2. trees over it, judged by coverage at the sizes that are wanted
    problem = Problem(
        points,
        n_points,
        tuple(min(s.target_size, n_points) for s in config.samples),
        cluster,
        derive_seed(config.seed, 2),
        n_threads(),
    )
    with threadpool_limits(1):  # the threads are the search's own
        choice = search(
            problem, lambda done, total, what: this.progress.update(done, total, at=what)
        )
    # 3. the choice, and what it was chosen from
    table = as_frame(this.spark, _rows(choice), REPORT_SCHEMA)
    this.write("report", table.withColumn("run_id", F.lit(this.run_id)), STAGE)
    this.progress.note(STAGE, _reason(choice))
    return figures_of(choice.cluster, choice.leaves, is_given=bool(cluster.levels)) | {
        "n_sampled": float(len(points)),
        "n_tried": float(choice.n_tried),
        "relative_coverage": choice.chosen.score,
        "best_relative_coverage": choice.trials[0].score,
    }


def _rows(choice: Choice) -> list[Row]:
    """Give every finalist's coverage over the uniform control's, and how sure its lag is."""
    rows = []
    for trial in choice.trials:
        name = f"{'/'.join(map(str, trial.levels))} · {trial.leaves:g}"
        figures = {
            "relative_coverage": trial.score,
            "standard_error": trial.error_of_lead(choice.trials[0]),
            "is_chosen": float(trial is choice.chosen),
        }
        rows += [Row(None, "tune", None, name, None, m, v) for m, v in figures.items()]
    return rows


def _reason(choice: Choice) -> str:
    levels = "/".join(map(str, choice.cluster.levels))
    best = choice.trials[0]
    why = "the best" if best is choice.chosen else f"as good as the best ({best.score:.3f})"
    return (
        f"levels={levels} share.leaves={choice.leaves:g} coverage={choice.chosen.score:.3f} of "
        f"uniform: {why}, and the simplest such of {choice.n_tried} tried"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Find the levels and the share that fit an embedded pool, and print them as YAML."""
    return job_main(run, argv, name="tune")


if __name__ == "__main__":
    sys.exit(main())
