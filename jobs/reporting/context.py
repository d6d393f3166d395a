"""The page's input: the report's rows, where everything is, and warnings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import yaml

from jobs.config.model import RunConfig, as_public_dict
from jobs.config.secrets import without_secrets
from jobs.judging.intent import how_drawn, how_even, what_prefixes_are
from jobs.judging.scatter import Scatter
from jobs.reporting.cells import CellOf, index_of
from jobs.reporting.page import PageContext
from jobs.sections.samples import SampleConfig
from jobs.telling.verdicts import verdict_of
from jobs.telling.warnings import beside_tree_said, few_for_top, unjudged_said, worse_than_uniform

GIANT_SHARE = 0.5  # share of the pool in one node that is worth a warning


@dataclass(frozen=True)
class Reported:
    """A run, as the page needs it.

    Attributes
    ----------
    written, config : the config as written, and with nothing left to ``auto``
    inputs : input name -> version
    tables : output table -> address
    published : sample -> the address of its table
    sizes : sample -> its number of rows
    """

    run_id: str
    written: RunConfig
    config: RunConfig
    inputs: dict[str, str]
    tables: dict[str, str]
    published: Mapping[str, str]
    sizes: Mapping[str, int]
    n_points: int
    code_version: str


def page_context(run: Reported, rows: pd.DataFrame) -> PageContext:
    """Return what the page shows.

    Parameters
    ----------
    rows : rows of ``report`` written by this run's stages
    """
    samples = [
        {
            "name": s.name,
            "table": run.published[s.name],
            "n_rows": run.sizes[s.name],
            "target_size": _target(run, s),
            "drawn": how_drawn(s),
            "expected": how_even(s),
            "prefixes": what_prefixes_are(s),
            "beside_tree": beside_tree_said(s, run.config.led.get(s.name)),
            "reason": None if run.sizes[s.name] == _target(run, s) else _why(run, s),
        }
        for s in run.config.samples
    ]
    return PageContext(
        run_id=run.run_id,
        title=without_secrets(run.config.input.table),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        rows=rows.astype({"level": "float64"}),
        samples=samples,
        config_yaml=yaml.safe_dump(as_public_dict(run.config), sort_keys=False),
        inputs=run.inputs,
        tables=run.tables,
        notes=_notes(run, rows, index_of(rows)),
        code_version=run.code_version,
    )


def _target(run: Reported, sample: SampleConfig) -> int:
    """Return the rows that a sample was to have; those it came to if it is not told in rows."""
    if not sample.is_told_in_rows:
        return run.sizes[sample.name]
    return sample.rows_of(run.n_points)


def _why(run: Reported, sample: SampleConfig) -> str:
    """Return why a sample has fewer rows than it was to have."""
    if sample.is_constrained:
        return f"no more is left by {' and '.join([*sample.constraints, *sample.seeds])}"
    return f"the pool has {run.n_points} points, {sample.replicas} replicas at most"


def _notes(run: Reported, rows: pd.DataFrame, cell: CellOf) -> list[str]:
    """Return what a user should not overlook."""
    notes = []
    given, levels = run.written.cluster.levels, run.config.cluster.levels
    for s in run.config.samples:
        verdict = verdict_of(cell, s.name)
        if verdict is not None and verdict.state == "worse" and run.config.is_to_cover(s):
            notes.append(worse_than_uniform(s, verdict, given=given, levels=levels))
        shares = cell("scatter", s.name, None, "share_above")
        found = Scatter(*shares, cell("scatter", s.name, None, "share_error").value)
        if scatter := found.said(s.name, most=run.written.hygiene.max_reject_fraction):
            notes.append(scatter)
        is_to_reach_all = s.blend is None and not s.seeds
        if len(given) > 1 and is_to_reach_all and run.sizes[s.name] < levels[-1]:
            notes.append(few_for_top(s.name, run.sizes[s.name], levels[-1]))
        if judge := unjudged_said(cell, s.name, run.config.report.judge):
            notes.append(judge)
        if run.sizes[s.name] < _target(run, s):
            notes.append(
                f"{s.name} has {run.sizes[s.name]} rows, not {_target(run, s)}: {_why(run, s)}; "
                "lower target_size, or raise replicas"
            )
    if n := cell("labels", None, None, "n_without").value:
        notes.append(
            f"{n:,.0f} of {run.n_points:,} points have no {run.config.report.label!r}: what is "
            "said of labels leaves them out"
        )
    tree = rows[(rows["section"] == "tree") & (rows["metric"] == "largest_node_share")]
    for level, share in zip(tree["level"], tree["value"], strict=True):
        if share > GIANT_SHARE and run.n_points > 1:
            notes.append(
                f"one node of level {level:.0f} holds {share:.0%} of the pool: too few nodes for "
                "unrelated concepts; raise that level or drop it"
            )
    if run.written.embed.model == "pixels":
        notes.append(
            "pixels compares colours and layout, not what a picture shows: photographs balanced "
            "over it are not balanced over what they show; for that, embed with a pretrained model"
        )
    return notes
