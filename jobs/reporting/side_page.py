"""The page of a stage beside the run: its findings, its figures by round, and their controls."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import pandas as pd
import plotly.graph_objects as go
import yaml

from jobs.config.model import RunConfig, as_public_dict
from jobs.config.secrets import without_secrets
from jobs.gallery.nodes import Exemplar
from jobs.reporting.figures import control_figure
from jobs.reporting.page import rendered

_MOST_COLUMNS = 12  # rounds of the table


@dataclass(frozen=True)
class Chart:
    """A figure of the page: a metric of the report along its x, or over rounds, and its control.

    Attributes
    ----------
    over : ``x`` for the last round's distribution, ``key`` for a line over rounds
    names : names of the two lines
    """

    metric: str
    title: str
    over: str
    x_title: str
    names: tuple[str, str]


@dataclass(frozen=True)
class SidePage:
    """What such a page shows.

    Attributes
    ----------
    title, intro : written for readers who have not asked for the page
    said : a line for each finding
    tables : name -> address
    """

    title: str
    intro: str
    pool: str
    run_id: str
    created: str
    said: Sequence[str]
    charts: Sequence[Chart]
    tables: Mapping[str, str]
    config_yaml: str
    columns: str = "round"  # what the columns of its table stand for
    control: str = "the same of a uniform draw"  # what the values in brackets are
    pictures: Sequence[tuple[str, Sequence[Exemplar]]] = ()  # title -> pictures

    @classmethod
    def of(cls, config: RunConfig, run_id: str, **rest: Any) -> Self:
        """Return the page of a run, made now; ``rest`` is its content."""
        return cls(
            pool=without_secrets(config.input.table),
            run_id=run_id,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            config_yaml=yaml.safe_dump(as_public_dict(config), sort_keys=False),
            **rest,
        )


def render_side_page(page: SidePage, rows: pd.DataFrame) -> str:
    """Return the page as HTML text, to be written as UTF-8.

    Parameters
    ----------
    rows : rows of one section of ``report``; ``key`` is the round
    """
    plain = rows[rows["x"].isna()]
    rounds = sorted(rows["key"].dropna().unique(), key=int)
    metrics = [*dict.fromkeys(plain["metric"])]
    by_cell = {(r["metric"], r["key"]): r for r in plain.to_dict("records")}
    columns = [rounds[i] for i in _evenly(len(rounds), _MOST_COLUMNS)]
    table = [
        (metric.replace("_", " "), [_cell(by_cell.get((metric, round_))) for round_ in columns])
        for metric in metrics
    ]
    drawn = {
        f"figure-{i}": (chart.title, figure.to_plotly_json())
        for i, chart in enumerate(page.charts)
        if (figure := _drawn(chart, rows, rounds)) is not None
    }
    return rendered(
        "reporting/side.html.j2",
        page=page,
        rounds=columns,
        n_left=len(rounds) - len(columns),
        table=table,
        shown=[(key, title) for key, (title, _) in drawn.items()],
        figures={key: figure for key, (_, figure) in drawn.items()},
    )


def _drawn(chart: Chart, rows: pd.DataFrame, rounds: Sequence[str]) -> go.Figure | None:
    """Draw a figure; None if there is nothing to connect by a line."""
    mine = rows[rows["metric"] == chart.metric]
    if chart.over == "x":
        mine = mine[mine["key"].isin(rounds[-1:])]
        x = mine["x"]
    else:
        mine = mine.sort_values("key", key=lambda key: key.astype(int))
        x = mine["key"].astype(int)
    if len(mine) < 2:
        return None
    figure = control_figure(x, mine["value"], mine["control"], chart.names, chart.x_title)
    return figure.update_xaxes(dtick=-(-len(mine) // 10)) if chart.over == "key" else figure


def _evenly(n: int, most: int) -> list[int]:
    """Return at most ``most`` of the first n numbers, the first and the last among them."""
    if n <= most:
        return list(range(n))
    return [round(i * (n - 1) / (most - 1)) for i in range(most)]


def _cell(row: Mapping[Hashable, Any] | None) -> tuple[float | None, float | None]:
    if row is None:
        return None, None
    control = row["control"]
    return row["value"], None if control is None or pd.isna(control) else control
