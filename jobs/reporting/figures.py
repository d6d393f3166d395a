"""Plotly figures of the report page, drawn from the rows of the report table.

Every figure shows up to three series, always in this order, colour and line style: the pool (grey),
a uniform random sample of the same size (amber, dashed) and the balanced sample (blue). Figures
have no background and mid-grey text, so they can be read on a light or a dark page.

Plotly renders a subset of HTML in text (``<b>``, ``<a href>``) and fills in ``%{...}`` in hover
templates. Names that come from data therefore pass through `label_text`, and never become part of a
template.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

MAX_LABELS = 40

_TEXT = "#787f89"  # contrast 4 : 1 on white and on the dark page
_FONT = "system-ui, sans-serif"
_GRID = "rgba(128, 136, 146, 0.22)"
_REFERENCE = "rgba(128, 136, 146, 0.75)"
_LABEL_HEIGHT = 26  # pixels for the three bars of one label

# Control characters, changes of writing direction and lone surrogates: they could disguise a name
# or keep the page from being written.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class _Role(NamedTuple):
    column: str
    colour: str
    width: float
    dash: str


_POOL = _Role("pool", "#8b929c", 2.0, "solid")
_CONTROL = _Role("control", "#c97a00", 2.0, "5px,3px")
_SAMPLE = _Role("sample", "#0e8cb8", 3.0, "solid")


def visible_text(text: str) -> str:
    """Return text with every invisible or unwritable character replaced by U+FFFD."""
    return _UNSEEN.sub("\ufffd", text)


def label_text(text: object, *, max_chars: int = 24) -> str:
    """Return a name from data as plain text for plotly: one line, truncated, escaped."""
    plain = visible_text(" ".join(str(text).split()))
    cut = plain if len(plain) <= max_chars else plain[: max_chars - 1].rstrip() + "…"
    return html.escape(cut, quote=False)  # plotly shows &quot; as is


def node_size_figure(rows: pd.DataFrame, *, sample: str | None, level: int) -> go.Figure:
    """Draw node sizes against the mean, largest node first, on a log axis.

    Parameters
    ----------
    rows : the `report` table
    sample : name of a sample; None draws the pool alone
    level : level of the tree, 1 = the leaves
    """
    figure = go.Figure()
    shown: list[float] = []
    for role, name, curve in _curves(rows, "node_sizes", "share_of_mean", sample, level):
        # A log axis has no zero: the curve ends where nodes are empty.
        sizes = [size if size > 0 else None for size in curve["y"]]
        shown += [size for size in sizes if size is not None]
        _add_line(figure, role, name, curve["x"], sizes, hover="%{y:.3~g} × mean")
    low, high = min([1.0, *shown]) / 1.3, max([1.0, *shown]) * 1.3
    ticks = _log_ticks(low, high)
    figure.add_shape(type="line", xref="paper", x0=0, x1=1, y0=1, y1=1, line=_reference_line())
    _add_note(figure, "every node the same", x=1, y=0, xref="paper", xanchor="right")
    _set_layout(figure, height=300)
    figure.update_xaxes(title_text="nodes, largest first", **_share_axis())
    figure.update_yaxes(
        title_text="size ÷ mean size",
        type="log",
        range=[math.log10(low), math.log10(high)],
        tickvals=ticks,
        ticktext=[f"{tick:g}×" for tick in ticks],
    )
    return figure


def lorenz_figure(rows: pd.DataFrame, *, sample: str | None, level: int) -> go.Figure:
    """Draw the cumulative share of points in the smallest nodes, with the diagonal of evenness.

    Parameters
    ----------
    rows : the `report` table
    sample : name of a sample; None draws the pool alone
    level : level of the tree, 1 = the leaves
    """
    figure = go.Figure()
    for role, name, curve in _curves(rows, "lorenz", "cumulative_share", sample, level):
        x, y = [0.0, *curve["x"]], [0.0, *curve["y"]]
        _add_line(figure, role, name, x, y, hover="%{y:.3~p} of points")
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=_reference_line())
    _add_note(figure, "perfectly even", x=0.5, y=0.5, textangle=0, xanchor="right")
    _set_layout(figure, height=300)
    figure.update_xaxes(title_text="nodes, smallest first", **_share_axis())
    figure.update_yaxes(title_text="share of points", **_share_axis())
    return figure


def label_shares(rows: pd.DataFrame, *, sample: str | None) -> pd.DataFrame:
    """Return each label's share of the pool, of the uniform control and of the sample.

    Returns
    -------
    DataFrame, largest share of the pool first, columns label, pool, control, sample; the last two
    are absent without a sample.
    """
    counts = rows[(rows["section"] == "labels") & (rows["metric"] == "count")]
    columns = {"pool": counts[counts["sample"].isna()].set_index("key")["value"]}
    if sample is not None:
        of_sample = counts[counts["sample"] == sample].set_index("key")
        columns |= {"control": of_sample["control"], "sample": of_sample["value"]}
    table = pd.DataFrame(columns, dtype=float).fillna(0.0)
    shares = table / table.sum().replace(0.0, 1.0)
    shares = shares.rename_axis("label").reset_index()
    by = [name for name in ("pool", "sample") if name in shares]
    return shares.sort_values([*by, "label"], ascending=[False] * len(by) + [True])


def label_figure(rows: pd.DataFrame, *, sample: str | None) -> go.Figure:
    """Draw the shares of the pool's largest labels, there and in the control and the sample.

    Parameters
    ----------
    rows : the `report` table
    sample : name of a sample; None draws the pool alone
    """
    every = label_shares(rows, sample=sample)
    shares = every.head(MAX_LABELS)
    figure = go.Figure()
    for role in (_POOL, _CONTROL, _SAMPLE):
        if role.column in shares and len(shares):
            _add_bars(figure, role, _series_name(role, sample), shares)
    if len(every):
        even = 1 / len(every)
        figure.add_shape(
            type="line", x0=even, x1=even, yref="paper", y0=0, y1=1, line=_reference_line()
        )
    bars_height = _LABEL_HEIGHT * max(len(shares), 2)
    _set_layout(figure, height=bars_height + 70)
    figure.update_layout(
        hovermode="closest",
        bargap=0.28,
        margin={"t": 60, "b": 10},
        legend={"y": 1 + 26 / bars_height},  # above the axis, which is at the top
    )
    figure.update_xaxes(side="top", rangemode="tozero", tickformat=".3~p")
    figure.update_yaxes(
        range=[len(shares) - 0.5, -0.5],  # largest on top
        tickvals=list(range(len(shares))),
        ticktext=[label_text(label) for label in shares["label"]],
        showgrid=False,
        automargin=True,
    )
    return figure


def control_figure(
    x: Iterable[float],
    values: Iterable[float],
    controls: Iterable[float],
    names: tuple[str, str],
    x_title: str,
) -> go.Figure:
    """Draw a measure and its uniform control as two lines : (n,) each."""
    figure = go.Figure()
    for role, name, y in ((_CONTROL, names[1], controls), (_SAMPLE, names[0], values)):
        known = [None if pd.isna(value) else value for value in y]
        _add_line(figure, role, name, [*x], known, hover="%{y:.3~g}")
    _set_layout(figure, height=300)
    return figure.update_xaxes(title_text=x_title)


def _curves(
    rows: pd.DataFrame, section: str, metric: str, sample: str | None, level: int
) -> Iterable[tuple[_Role, str, dict[str, list[float]]]]:
    """Yield role, name and points {x, y} of each series that has any, sorted by x."""
    chosen = rows[
        (rows["section"] == section) & (rows["metric"] == metric) & (rows["level"] == level)
    ].sort_values("x", kind="stable")
    of_pool = chosen[chosen["sample"].isna()]
    of_sample = chosen[chosen["sample"] == sample]
    for role, frame, column in (
        (_POOL, of_pool, "value"),
        (_CONTROL, of_sample, "control"),
        (_SAMPLE, of_sample, "value"),
    ):
        points = frame[["x", column]].astype(float).dropna()
        if len(points):
            curve = {"x": points["x"].tolist(), "y": points[column].tolist()}
            yield role, _series_name(role, sample), curve


def _series_name(role: _Role, sample: str | None) -> str:
    if role is _SAMPLE:
        return label_text(sample)
    return "pool" if role is _POOL else "uniform control"


def _add_line(
    figure: go.Figure,
    role: _Role,
    name: str,
    x: Sequence[float],
    y: Sequence[float | None],
    *,
    hover: str,
) -> None:
    figure.add_scatter(
        x=list(x),
        y=list(y),
        mode="lines",
        name=name,
        line={"color": role.colour, "width": role.width, "dash": role.dash},
        hovertemplate=hover,
    )


def _add_bars(figure: go.Figure, role: _Role, name: str, shares: pd.DataFrame) -> None:
    # Bars are placed by number, not by name: names that look alike when truncated stay apart, and
    # plotly cannot take them for dates.
    figure.add_bar(
        x=shares[role.column].tolist(),
        y=list(range(len(shares))),
        orientation="h",
        name=name,
        marker={"color": role.colour, "line": {"width": 0}},
        customdata=[label_text(label, max_chars=80) for label in shares["label"]],
        hovertemplate="%{customdata}<br>%{fullData.name}: %{x:.3~p}<extra></extra>",
    )


def _reference_line() -> dict[str, Any]:
    return {"color": _REFERENCE, "width": 1.2, "dash": "dot"}


def _add_note(figure: go.Figure, text: str, **place: Any) -> None:
    """Label a reference line, just above it."""
    font = {"size": 11, "color": _TEXT}
    figure.add_annotation(text=text, showarrow=False, yanchor="bottom", font=font, **place)


def _share_axis() -> dict[str, Any]:
    return {"range": [0, 1.005], "tickvals": [0, 0.25, 0.5, 0.75, 1], "tickformat": ".0%"}


def _log_ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a log axis from low to high: decades, 1-2-5 steps on a short axis."""
    steps = (1.0,) if high / low > 500 else (1.0, 2.0, 5.0)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def _set_layout(figure: go.Figure, *, height: int) -> None:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 58, "r": 24, "t": 34, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _FONT, "size": 12, "color": _TEXT},
        showlegend=True,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
        hovermode="x unified",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": _REFERENCE, "activecolor": _TEXT},
        hoverlabel={
            "bgcolor": "#2a3038",
            "bordercolor": "#2a3038",
            "font": {"color": "#f2f4f7", "family": _FONT},
        },
    )
    for update_axes in (figure.update_xaxes, figure.update_yaxes):
        update_axes(
            gridcolor=_GRID,
            zeroline=False,
            showline=False,
            ticks="outside",  # invisible: they keep the two axes' labels apart
            ticklen=5,
            tickcolor="rgba(0,0,0,0)",
            fixedrange=True,
            title_font={"size": 12, "color": _TEXT},
            title_standoff=10,
        )
