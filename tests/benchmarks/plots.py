"""The plots: time against inertia, against n and against k, over all scenarios run."""

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

Row = dict[str, Any]

_TITLES = ("time against inertia", "time against n", "time against k")


def write_plots(results: dict[str, Row], path: Path) -> None:
    """Write one HTML page, with plotly inside it."""
    rows = [
        row | {"scenario": name, "x_time": row.get("at_ten") or row.get("seconds")}
        for name, result in results.items()
        for row in result["rows"]
        if row["rival"] != "assignment" and row["status"] in ("done", "over")
    ]
    figure = make_subplots(rows=3, cols=1, subplot_titles=_TITLES)
    for number, rival in enumerate(sorted({row["rival"] for row in rows})):
        own = [row for row in rows if row["rival"] == rival]
        colour = qualitative.Safe[number % len(qualitative.Safe)]
        scored = [row for row in own if row.get("inertia")]
        figure.add_trace(_dots(rival, colour, scored, "inertia", has_legend=True), row=1, col=1)
        for position, key in ((2, "n_points"), (3, "n_clusters")):
            ordered = sorted(own, key=lambda row: row[key])
            figure.add_trace(_dots(rival, colour, ordered, key), row=position, col=1)
    figure.update_yaxes(title="seconds", type="log")
    figure.update_xaxes(title="inertia per point", row=1)
    figure.update_xaxes(title="n, points", type="log", row=2)
    figure.update_xaxes(title="k, clusters", type="log", row=3)
    figure.update_layout(
        height=1300,
        title="10 iterations (scaled where fewer ran); Evenlake, mini-batches and superkmeans: as "
        "they stop; open triangles: still running at the time limit",
    )
    figure.write_html(path, include_plotlyjs=True)


def _dots(
    rival: str, colour: str, rows: list[Row], key: str, *, has_legend: bool = False
) -> go.Scatter:
    texts = [f"{r['scenario']}: n={r['n_points']:,} k={r['n_clusters']:,}" for r in rows]
    return go.Scatter(
        x=[row[key] for row in rows],
        y=[row["x_time"] for row in rows],
        text=texts,
        name=rival,
        mode="markers",
        legendgroup=rival,
        showlegend=has_legend,
        marker={
            "color": colour,
            "size": 11,
            "symbol": ["triangle-up-open" if r["status"] == "over" else "circle" for r in rows],
        },
    )
