"""The map as the page draws it: a circle for each node, its area by points, its colour by share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from jobs.gallery.nodes import ShownNode
from jobs.pictures.kept import step_of
from jobs.reporting.numbers import human, percent

_WIDTH = 1000.0  # width of the drawing, in its own units
_LARGEST, _SMALLEST = 26.0, 3.0  # radii
_FLATTEST = 0.35  # height over width


@dataclass(frozen=True)
class Mark:
    """A node on the map, in the drawing's units; ``opens`` is its view of the tree, or None."""

    x: float
    y: float
    radius: float
    step: int
    said: str
    opens: str | None = None


@dataclass(frozen=True)
class LeafMap:
    """The nodes of one level."""

    level: int
    width: float
    height: float
    marks: list[Mark]


def map_view(
    rows: pd.DataFrame, details: dict[tuple[int, int], ShownNode], opened: frozenset[str]
) -> LeafMap | None:
    """Return the map, its largest circles first; None if the report has none.

    Parameters
    ----------
    rows : the `report` table
    details : nodes that have a name
    opened : keys of the views of the tree
    """
    mine = rows[rows["section"] == "map"]
    if mine.empty:
        return None
    level = int(mine["level"].iloc[0])
    table = _nodes_of(mine)
    low, high = table["y"].min(), table["y"].max()
    height = max(_FLATTEST, high - low) * _WIDTH
    most = max(1.0, table["n_points"].max())
    marks = []
    for key, row in table.to_dict("index").items():
        detail = details.get((level, int(str(key))))
        name = (detail.name if detail is not None else None) or f"node {key}"
        opens = f"node-{level}-{key}"
        marks.append(
            Mark(
                x=_LARGEST + row["x"] * _WIDTH,
                y=_LARGEST + height / 2 + ((low + high) / 2 - row["y"]) * _WIDTH,
                radius=max(_SMALLEST, _LARGEST * (row["n_points"] / most) ** 0.5),
                step=step_of(row["n_kept"], row["n_uniform"]),
                said=_said(name, row),
                opens=opens if opens in opened else None,
            )
        )
    return LeafMap(level, _WIDTH + 2 * _LARGEST, height + 2 * _LARGEST, marks)


def _nodes_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the nodes by key, the largest first : x, y, n_points, n_kept, n_uniform."""
    by_metric = {metric: part.set_index("key") for metric, part in rows.groupby("metric")}
    return pd.DataFrame(
        {
            "x": by_metric["y"]["x"],
            "y": by_metric["y"]["value"],
            "n_points": by_metric["n_points"]["value"],
            "n_kept": by_metric["n_kept"]["value"],
            "n_uniform": by_metric["n_kept"]["control"],
        }
    ).sort_values("n_points", ascending=False, kind="stable")


def _said(name: str, row: Mapping[Any, Any]) -> str:
    """Return a node's name, its points, and how many of them were kept, in one line."""
    share = percent(row["n_kept"] / max(1.0, row["n_points"]))
    kept = f"{human(row['n_kept'])} kept ({share}; uniform {human(row['n_uniform'])})"
    return f"{name}: {human(row['n_points'])} points, {kept}"
