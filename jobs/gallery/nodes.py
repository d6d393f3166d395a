"""The gallery of a page: nodes with their names, how much of each was kept, and what they hold."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from jobs.gallery.exemplars import names

MOST_OF_OTHER = 4  # points of each kind shown for nodes outside the gallery
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
    share, bar : share of its points that were kept; the same relative to the largest share shown
    closest, farthest : the points nearest to and farthest from the centre of their leaf
    """

    level: int
    node_id: int
    n_points: int
    n_kept: int
    name: str | None
    share: float
    bar: float
    kept: list[Exemplar] = field(default_factory=list)
    left: list[Exemplar] = field(default_factory=list)
    closest: list[Exemplar] = field(default_factory=list)
    farthest: list[Exemplar] = field(default_factory=list)


@dataclass(frozen=True)
class Gallery:
    """Nodes of one level, and the share that a uniform sample would keep of each.

    Attributes
    ----------
    others : further nodes, of any level
    """

    sample: str
    level: int
    n_nodes: int
    uniform_share: float
    nodes: list[ShownNode]
    others: list[ShownNode] = field(default_factory=list)

    @property
    def details(self) -> dict[tuple[int, int], ShownNode]:
        """All nodes that there are points of, by level and node."""
        return {(node.level, node.node_id): node for node in (*self.nodes, *self.others)}

    @property
    def uniform_bar(self) -> float:
        """The uniform share, beside the largest share shown."""
        return min(1.0, self.uniform_share / max(1e-9, *(node.share for node in self.nodes)))


def gallery_of(
    sample: str,
    allocations: pa.Table,
    nodes: Sequence[pd.DataFrame],
    points: pd.DataFrame,
    n_shown: int,
) -> Gallery:
    """Return some of the nodes of a level, and others, with exemplars.

    Parameters
    ----------
    allocations : sample, level, n_points, quota
    nodes : level, node_id, n_points, quota; of the gallery, then the others
    points : id, level, node_id, kind, place, text, words, picture; the last three may be null
    n_shown : exemplars of each kind
    """
    shown = [row for part in nodes for row in part.to_dict("records")]
    points = points.sort_values(["level", "node_id", "kind", "place"], kind="stable")
    by_node = dict(tuple(points.groupby(["level", "node_id"])))
    theirs = [by_node.get((n["level"], n["node_id"]), points.iloc[:0]) for n in shown]
    named: list[str] = []
    if points["words"].notna().any():
        named = names([" ".join(mine["words"].dropna()) for mine in theirs])
    first = nodes[0]
    most = max(*(first["quota"] / first["n_points"]), 1e-9)

    def n_of(i: int) -> int:
        return n_shown if i < len(first) else min(n_shown, MOST_OF_OTHER)

    found = [
        _shown(node, mine, named[i] if named else None, most, n_of(i))
        for i, (node, mine) in enumerate(zip(shown, theirs, strict=True))
    ]
    level = int(first["level"].iloc[0])
    whole = allocations.to_pandas().query("sample == @sample and level == @level")
    uniform = float(whole["quota"].sum() / whole["n_points"].sum())
    n_nodes, n_first = int((whole["n_points"] > 0).sum()), len(first)
    return Gallery(sample, level, n_nodes, uniform, found[:n_first], found[n_first:])


def _shown(
    node: Mapping[Any, Any], points: pd.DataFrame, name: str | None, most: float, n_shown: int
) -> ShownNode:
    """Return a node to look at; ``most`` is the largest share kept of any."""
    of_kind = {
        str(kind): [exemplar_of(row) for row in mine.head(n_shown).to_dict("records")]
        for kind, mine in points.groupby("kind")
    }
    share = node["quota"] / node["n_points"]
    return ShownNode(
        level=int(node["level"]),
        node_id=int(node["node_id"]),
        n_points=int(node["n_points"]),
        n_kept=int(node["quota"]),
        name=name,
        share=share,
        bar=min(1.0, share / most),
        **of_kind,
    )


def exemplar_of(row: Mapping[Any, Any]) -> Exemplar:
    """Return a point to look at : id, text, picture."""
    return Exemplar(_text(row["id"]), _snippet(row["text"]), _data_uri(row["picture"]))


def _text(id_: Any) -> str:
    if id_ is None:
        return "(no id)"
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
