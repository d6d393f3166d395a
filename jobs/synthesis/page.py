"""The page of a plan of captions, or of the captions: by round, and by concept beside the pool."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from jobs.reporting.exported import exported
from jobs.reporting.rows import REPORT_COLUMNS
from jobs.reporting.side_page import Chart, SidePage, render_side_page
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.tables.shared import REPORT

_INTRO = (
    "Captions for pictures to make of concepts that the pool has few of: each concept's quota "
    "falls with the points that the pool has of it. A caption that is turned away is asked for "
    "again, by another prompt, until every quota is met or the rounds are over."
)
CHARTS = (
    Chart(
        "share", "Share of captions and of the pool, rarest concept first", "x", "concept",
        ("captions", "points of the pool"),
    ),
    Chart(
        "normalised_entropy", "How evenly captions spread over concepts, by round", "key", "round",
        ("captions", "quotas"),
    ),
)  # fmt: skip


def page_line(
    run: Run, stage: Stage[Any], name: str, said: Sequence[str], tables: Mapping[str, str]
) -> list[str]:
    """Write a page next to the tables, if those are on this machine; return a line that says so.

    Parameters
    ----------
    stage : the stage whose rows of the report are shown
    name : name of the page, next to the run's id
    tables : name -> address
    """
    if (folder := run.lake.local_folder) is None:
        return []
    rows = run.fetch(stage, REPORT, REPORT_COLUMNS).to_pandas()
    name = f"{run.run_id}-{name}-{run.key(stage)[:8]}"
    page = exported(folder, name, lambda: _page_of(run, rows, said, tables), is_kept=False)
    return [f"page: {page}"]


def _page_of(run: Run, rows: pd.DataFrame, said: Sequence[str], tables: Mapping[str, str]) -> bytes:
    page = SidePage.of(
        run.config,
        run.run_id,
        title="Captions for what the pool has little of",
        intro=_INTRO,
        said=said,
        charts=CHARTS,
        tables=tables,
        control="what the quotas would have",
    )
    return render_side_page(page, rows).encode()
