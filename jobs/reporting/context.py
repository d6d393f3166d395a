"""What the page is told: the report's rows, where everything is, and what to be warned of."""

from datetime import UTC, datetime

import pandas as pd
import yaml
from pyspark.sql import functions as F

from jobs.config.model import as_public_dict
from jobs.config.secrets import without_secrets
from jobs.reporting.node_rows import sample_size
from jobs.reporting.page import PageContext
from jobs.runs.ledger import code_version
from jobs.runs.run import Run
from udfs.kernels.coverage import is_worse

GIANT_SHARE = 0.5  # of the pool in one node: worth a warning


def page_context(this: Run) -> PageContext:
    """Return what the page shows, read back from the tables."""
    report = this.lake.read("report").where(F.col("stage_key").isin(_keys_of(this)))
    rows = report.drop("stage_key", "run_id").toPandas()
    config = yaml.safe_dump(as_public_dict(this.config), sort_keys=False)
    n_points = int(this.figures("embed_pool")["n_points"])
    samples = [
        {
            "name": s.name,
            "table": this.lake.shown(f"sample_{s.name}"),
            "n_rows": sample_size(this, s.name),
            "target_size": s.target_size,
            "strategy": s.strategy,
            "reason": None
            if sample_size(this, s.name) == s.target_size
            else f"the pool has {n_points} points, {s.replicas} replicas at most",
        }
        for s in this.config.samples
    ]
    tables = ("embeddings", "rejects", "nodes", "assignments", "samples", "report", "runs")
    return PageContext(
        run_id=this.run_id,
        title=without_secrets(this.config.input.table),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        rows=rows.astype({"level": "float64"}),
        samples=samples,
        config_yaml=config,
        inputs={this.pool.name: this.pool.fingerprint},
        tables={table: this.lake.shown(table) for table in tables},
        notes=_notes(this, rows),
        code_version=code_version(),
    )


def worse_than_uniform(this: Run, name: str, gap: float, error: float) -> str:
    """Say that a sample covers less than a uniform one, and what to change."""
    given = this.recipe.cluster.levels
    levels = "/".join(map(str, this.config.cluster.levels))
    if given:
        fix = "leave cluster.levels and share.leaves to auto; evenlake tune says what they will be"
    else:
        fix = "embed with a model that tells its concepts apart, or draw with share.points: 1"
    return (
        f"{name} covers the pool worse than a uniform sample of its size: coverage distance "
        f"{gap:+.1%} ± {error:.1%}; levels {levels} do not fit the data: {fix}"
    )


def _keys_of(this: Run) -> list[str]:
    """Return the keys of the stages that report; tuning only where the run has it."""
    keys = [this.keys["report_curation"]]
    return [*keys, this.keys["tune_tree"]] if this.is_tuned else keys


def _only(rows: pd.DataFrame, sample: str, metric: str) -> float:
    mine = rows[(rows["sample"] == sample) & (rows["metric"] == metric)]["value"]
    return float(mine.iloc[0]) if len(mine) else 0.0


def _notes(this: Run, rows: pd.DataFrame) -> list[str]:
    """Say what a user should not overlook."""
    notes = []
    for s in this.config.samples:
        gap, error = (_only(rows, s.name, f"coverage_gap{end}") for end in ("", "_error"))
        if is_worse(gap, error):
            notes.append(worse_than_uniform(this, s.name, gap, error))
        if sample_size(this, s.name) < s.target_size:
            notes.append(
                f"{s.name} has {sample_size(this, s.name)} rows, not {s.target_size}: that is the "
                "whole pool; lower target_size, or raise replicas"
            )
    tree = rows[(rows["section"] == "tree") & (rows["metric"] == "largest_node_share")]
    for level, share in zip(tree["level"], tree["value"], strict=True):
        if share > GIANT_SHARE:
            notes.append(
                f"one node of level {level:.0f} holds {share:.0%} of the pool: too few nodes for "
                "unrelated concepts; raise that level or drop it"
            )
    return notes
