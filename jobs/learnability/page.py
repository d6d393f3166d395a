"""The page of a learnability run: what each round drew, beside a uniform draw."""

from collections.abc import Sequence

import pandas as pd

from jobs.reporting.side_page import Chart, SidePage, render_side_page
from jobs.runs.run import Run

_INTRO = (
    "Rows that the model in training has not learned yet (a high loss) and that a model trained on "
    "clean data finds easy (a low one) are worth training on next: the difference is their "
    "learnability. Rows that both find hard are mostly noise."
)
_DRAWN = ("drawn", "uniform draw")
_CHARTS = (
    Chart(
        "share_of_rows", "Learnability of the last round's rows", "x", "learnability",
        ("drawn", "all rows"),
    ),
    Chart("mean_learnability", "Mean learnability by round", "key", "round", _DRAWN),
    Chart("mean_hard", "Mean loss of the model in training by round", "key", "round", _DRAWN),
)  # fmt: skip


def page_of(run: Run, rows: pd.DataFrame, said: Sequence[str]) -> bytes:
    """Return the page of the rounds that are in the report's rows, UTF-8 HTML."""
    page = SidePage.of(
        run.config,
        run.run_id,
        title="What to train on next",
        intro=_INTRO,
        said=said,
        charts=_CHARTS,
        tables={name: run.lake.shown(name) for name in ("learnability", "compute_ledger")},
    )
    return render_side_page(page, rows).encode()
