"""The gallery of a page: nodes with their names, how much of each was kept, and what they hold."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from jobs.gallery.exemplars import names

_SNIPPET = 160  # characters


@dataclass(frozen=True)
class Exemplar:
    """A point to look at: its id, and its text or picture (a data URI) if there is one."""

    id: str
    text: str | None = None
    picture: str | None = None


@dataclass(frozen=True)
class ShownNode:
    """A node to look at.

    Attributes
    ----------
    name : words that are its own; None if it holds no texts
    n_points, n_kept : below it, in the pool and in the sample
    share, bar : of its points that were kept; the same beside the largest share shown
    """

    node_id: int
    n_points: int
    n_kept: int
    name: str | None
    share: float
    bar: float
    kept: list[Exemplar] = field(default_factory=list)
    left: list[Exemplar] = field(default_factory=list)


@dataclass(frozen=True)
class Gallery:
    """Nodes of one level, and the share that a uniform sample would keep of each."""

    sample: str
    level: int
    n_nodes: int
    uniform_share: float
    nodes: list[ShownNode]

    @property
    def uniform_bar(self) -> float:
        """The uniform share, beside the largest share shown."""
        return min(1.0, self.uniform_share / max(1e-9, *(node.share for node in self.nodes)))


def gallery_of(
    sample: str, allocations: pa.Table, nodes: pd.DataFrame, points: pd.DataFrame, n_shown: int
) -> Gallery:
    """Return some of the nodes of a level, with exemplars.

    Parameters
    ----------
    allocations : sample, level, capacity, quota
    nodes : level, node_id, capacity, quota; those to show
    points : id, node_id, is_kept, place, text, picture; text or picture may be null
    n_shown : exemplars of each kind
    """
    points = points.sort_values(["node_id", "is_kept", "place"], kind="stable")
    by_node = dict(tuple(points.groupby("node_id")))
    nothing = points.iloc[:0]
    theirs = [by_node.get(node, nothing) for node in nodes["node_id"]]
    level = int(nodes["level"].iloc[0])
    whole = allocations.to_pandas().query("sample == @sample and level == @level")
    named: list[str] = []
    if points["text"].notna().any():
        named = names([" ".join(mine["text"].dropna()) for mine in theirs])
    shares = (nodes["quota"] / nodes["capacity"]).tolist()
    shown = [
        ShownNode(
            node_id=int(node["node_id"]),
            n_points=int(node["capacity"]),
            n_kept=int(node["quota"]),
            name=named[i] if named else None,
            share=shares[i],
            bar=shares[i] / max(*shares, 1e-9),
            kept=_exemplars(theirs[i][theirs[i]["is_kept"]], n_shown),
            left=_exemplars(theirs[i][~theirs[i]["is_kept"]], n_shown),
        )
        for i, node in enumerate(nodes.to_dict("records"))
    ]
    uniform = float(whole["quota"].sum() / whole["capacity"].sum())
    return Gallery(sample, level, int((whole["capacity"] > 0).sum()), uniform, shown)


def exemplar_of(row: Mapping[Any, Any]) -> Exemplar:
    """Return a point to look at : id, text, picture."""
    return Exemplar(_text(row["id"]), _snippet(row["text"]), _data_uri(row["picture"]))


def _exemplars(points: pd.DataFrame, n_shown: int) -> list[Exemplar]:
    return [exemplar_of(row) for row in points.head(n_shown).to_dict("records")]


def _text(id_: Any) -> str:
    return id_.hex() if isinstance(id_, bytes | bytearray) else str(id_)


def _snippet(text: Any) -> str | None:
    if not isinstance(text, str):
        return None
    line = " ".join(text.split())
    return line if len(line) <= _SNIPPET else line[: _SNIPPET - 1] + "…"


def _data_uri(picture: Any) -> str | None:
    if not isinstance(picture, bytes | bytearray):
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
