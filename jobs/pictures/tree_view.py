"""The picture of the tree: a view of the top, and one of every node that can be opened."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from jobs.gallery.nodes import ShownNode
from jobs.pictures.kept import step_of
from jobs.pictures.treemap import Box, squarified
from jobs.reporting.cells import CellOf
from jobs.reporting.numbers import human, percent

_RATIO = 2.0  # width of a picture over its height
_WHOLE = ("n_nodes", "n_points")
_LABELLED, _PICTURED = 0.005, 0.014  # shares of the view; smaller tiles carry no text, no picture

Node = tuple[int, int]  # level, node_id


@dataclass(frozen=True)
class Tile:
    """A node of a view.

    Attributes
    ----------
    opens : key of the view that it opens; None if there is none
    label : empty on a small tile
    said : name, points, and what was kept, in a line
    step : step of ``kept.LEGEND``; -1 for nodes that are not shown one by one
    box : position, in percent of the view's width and height
    picture : a data URI, if the node has one and room for it
    """

    opens: str | None
    label: str
    said: str
    step: int
    box: Box
    picture: str | None = None


@dataclass(frozen=True)
class View:
    """What is shown of one node: its children as tiles, and points to look at.

    Attributes
    ----------
    key : key of its place on the page
    trail : keys and titles of the views above it
    said : points, and what was kept
    """

    key: str
    title: str
    said: str
    trail: list[tuple[str, str]]
    tiles: list[Tile]
    node: ShownNode | None = None


@dataclass(frozen=True)
class _Facts:
    node: Node
    parent: Node | None
    n_points: float
    n_children: float
    n_kept: float
    n_uniform: float


def tree_views(rows: pd.DataFrame, cell: CellOf, details: Mapping[Node, ShownNode]) -> list[View]:
    """Return the views, that of the whole tree first; none if the report has no nodes.

    Parameters
    ----------
    rows, cell : the `report` table, and a lookup in it
    details : nodes with points to look at
    """
    found = _facts(rows[(rows["section"] == "nodes") & rows["key"].notna()])
    below: dict[Node | None, list[_Facts]] = {}
    for facts in found.values():
        below.setdefault(facts.parent, []).append(facts)
    for children in below.values():
        children.sort(key=lambda facts: (-facts.n_points, facts.node))
    if None not in below:
        return []
    drawing = _Drawing(found, below, details)
    opened = [node for node in found if node in below or node in details]
    return [drawing.whole(cell), *(drawing.view(node) for node in opened)]


class _Drawing:
    """What all views are drawn from."""

    def __init__(
        self,
        found: Mapping[Node, _Facts],
        below: Mapping[Node | None, list[_Facts]],
        details: Mapping[Node, ShownNode],
    ) -> None:
        self.found, self.below, self.details = found, below, details

    def whole(self, cell: CellOf) -> View:
        """Return the view of the top."""
        n_nodes, n_points = (cell("nodes", None, None, name).value or 0.0 for name in _WHOLE)
        shown, top = self.below[None], max(level for level, _ in self.found)
        rest = _Rest(n_nodes - len(shown), n_points - sum(facts.n_points for facts in shown))
        said = f"{human(n_nodes)} nodes of level {top}, {human(n_points)} points"
        return View("tree", "All", said, [], self._tiles(shown, rest))

    def view(self, node: Node) -> View:
        """Return the view of a node."""
        mine, shown = self.found[node], self.below.get(node, [])
        rest = _Rest(
            mine.n_children - len(shown), mine.n_points - sum(facts.n_points for facts in shown)
        )
        trail, above = [], mine.parent
        while above is not None:
            trail.append((_key(above), self._title(above)))
            above = self.found[above].parent
        trail.append(("tree", "All"))
        tiles = self._tiles(shown, rest) if shown else []
        said = f"level {node[0]}, {_said(mine)}"
        return View(_key(node), self._title(node), said, trail[::-1], tiles, self.details.get(node))

    def _tiles(self, shown: Sequence[_Facts], rest: "_Rest") -> list[Tile]:
        sizes = [facts.n_points for facts in shown]
        if rest.n_nodes > 0 and rest.n_points > 0:
            sizes.append(rest.n_points)
        boxes = squarified(sizes, ratio=_RATIO)
        return list(self._drawn(shown, rest, [Box(*(100 * edge for edge in box)) for box in boxes]))

    def _drawn(
        self, shown: Sequence[_Facts], rest: "_Rest", boxes: Sequence[Box]
    ) -> Iterator[Tile]:
        for facts, box in zip(shown, boxes, strict=False):
            node, area = facts.node, box.width * box.height / 1e4
            opens = _key(node) if node in self.below or node in self.details else None
            title, step = self._title(node), step_of(facts.n_kept, facts.n_uniform)
            said = f"{title}: {_said(facts)}"
            picture = self._picture(node) if area > _PICTURED else None
            label = title if area > _LABELLED else ""
            yield Tile(opens, label, said, step, box, picture=picture)
        if len(boxes) > len(shown):
            nodes = (
                "1 smaller node" if rest.n_nodes == 1 else f"{human(rest.n_nodes)} smaller nodes"
            )
            said = f"{nodes}, {human(rest.n_points)} points"
            yield Tile(None, said, said, -1, boxes[-1])

    def _title(self, node: Node) -> str:
        detail = self.details.get(node)
        return (detail.name if detail is not None else None) or f"node {node[1]}"

    def _picture(self, node: Node) -> str | None:
        detail = self.details.get(node)
        points = [] if detail is None else [*detail.kept, *detail.left]
        return next((point.picture for point in points if point.picture), None)


@dataclass(frozen=True)
class _Rest:
    """Nodes that are not shown one by one."""

    n_nodes: float
    n_points: float


def _facts(rows: pd.DataFrame) -> dict[Node, _Facts]:
    """Return the nodes of the report, in its order."""
    by_node: dict[Node, dict[str, tuple[float, float]]] = {}
    columns = (rows[name] for name in ("level", "key", "metric", "value", "control"))
    for level, key, metric, value, control in zip(*columns, strict=True):
        by_node.setdefault((int(level), int(key)), {})[str(metric)] = value, control
    nothing = (0.0, 0.0)
    found = {}
    for node, figures in by_node.items():
        n_kept, n_uniform = figures.get("n_kept", nothing)
        parent = figures.get("parent_id")
        found[node] = _Facts(
            node,
            None if parent is None else (node[0] + 1, int(parent[0])),
            figures["n_points"][0],
            figures.get("n_children", nothing)[0],
            n_kept,
            n_uniform,
        )
    return found


def _key(node: Node) -> str:
    return f"node-{node[0]}-{node[1]}"


def _said(facts: _Facts) -> str:
    kept = f"{human(facts.n_kept)} kept ({percent(facts.n_kept / max(1.0, facts.n_points))}"
    return f"{human(facts.n_points)} points, {kept}; uniform {human(facts.n_uniform)})"
