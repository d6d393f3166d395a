"""The nodes of the tree's picture, and the views made of them."""

import numpy as np
import pandas as pd
import pyarrow as pa

from jobs.gallery.nodes import Exemplar, ShownNode
from jobs.pictures.kept import LEGEND, step_of
from jobs.pictures.tiles import MAX_TILES, shown_nodes, tile_rows
from jobs.pictures.tree_view import View, tree_views
from jobs.reporting.cells import index_of
from jobs.reporting.rows import Row

# two levels: nodes 0 and 1 of the top hold the leaves 0, 2 and 1, 3; leaf 3 is empty
NODES = pa.table(
    {
        "level": [1, 1, 1, 1, 2, 2], "node_id": [0, 1, 2, 3, 0, 1],
        "parent_id": pa.array([0, 1, 0, 1, None, None], pa.int64()),
        "n_points": [5, 20, 10, 0, 15, 20],
    }
)  # fmt: skip
QUOTAS = pa.table(
    {
        "sample": ["s"] * 6 + ["t"], "level": [1, 1, 1, 1, 2, 2, 1],
        "node_id": [0, 1, 2, 3, 0, 1, 0], "quota": [5, 0, 2, 0, 7, 0, 99],
    }
)  # fmt: skip


def views_of(details: dict[tuple[int, int], ShownNode] | None = None) -> list[View]:
    rows = pd.DataFrame(tile_rows(NODES, QUOTAS, "s"), columns=Row._fields)
    return tree_views(rows, index_of(rows), details or {})


def test_steps_go_from_nothing_kept_to_far_more_than_uniform() -> None:
    assert [step_of(kept, 8) for kept in (0, 1, 2, 4, 8, 10, 16, 32, 99)] == [
        0, 1, 2, 3, 4, 5, 6, 7, 7,
    ]  # fmt: skip
    assert len(LEGEND) == 8


def test_the_largest_nodes_come_first_each_before_its_children() -> None:
    sizes = [np.array([5, 20, 10, 0]), np.array([15, 20])]
    parents = [np.array([0, 1, 0, 1]), np.zeros(2, int)]
    assert shown_nodes(sizes, parents) == [(2, 1), (2, 0), (1, 1), (1, 2), (1, 0)]


def test_a_large_tree_shows_no_more_tiles_than_fit() -> None:
    rng = np.random.default_rng(0)
    parents = [rng.integers(0, 2000, 50_000), rng.integers(0, 500, 2000), np.zeros(500, int)]
    sizes = [rng.integers(1, 100, 50_000)]
    for parent, n in zip(parents, (2000, 500), strict=False):
        sizes.append(np.bincount(parent, sizes[-1], n).astype(np.int64))
    shown = shown_nodes(sizes, parents)
    assert len(shown) == MAX_TILES == len(set(shown))
    above = {(t + 1, int(parents[t - 1][node])) for t, node in shown if t < 3}
    assert above <= set(shown)


def test_rows_by_hand() -> None:
    rows = tile_rows(NODES, QUOTAS, "s")
    assert Row(None, "nodes", None, None, None, "n_points", 35.0) in rows
    assert [row[4:] for row in rows if (row.level, row.key) == (1, "2")] == [
        (None, "n_points", 10.0, None), (None, "n_children", 0.0, None),
        (None, "parent_id", 0.0, None), (None, "n_kept", 2.0, 2.0),
    ]  # fmt: skip


def test_the_whole_tree_is_shown_first_and_its_tiles_open() -> None:
    whole, *others = views_of()
    assert (whole.key, whole.said) == ("tree", "2 nodes of level 2, 35 points")
    assert [(t.opens, t.step) for t in whole.tiles] == [("node-2-1", 0), ("node-2-0", 6)]
    assert sum(t.box.width * t.box.height for t in whole.tiles) == 1e4
    assert whole.tiles[1].said == "node 0: 15 points, 7 kept (46.7%; uniform 3)"
    assert [view.key for view in others] == ["node-2-1", "node-2-0"]
    assert [t.opens for t in others[1].tiles] == [None, None]
    assert others[1].trail == [("tree", "All")]


def test_a_leaf_with_points_to_look_at_opens_under_its_name() -> None:
    leaf = ShownNode(1, 2, 10, 2, "red · blue", 0.2, 1.0, kept=[Exemplar("a", picture="data:,")])
    views = {view.key: view for view in views_of({(1, 2): leaf})}
    tile = views["node-2-0"].tiles[0]
    assert (tile.opens, tile.label, tile.picture) == ("node-1-2", "red · blue", "data:,")
    assert views["node-1-2"].trail == [("tree", "All"), ("node-2-0", "node 0")]
    assert views["node-1-2"].node is leaf


def test_nodes_that_are_not_shown_are_one_tile() -> None:
    rows = pd.DataFrame(tile_rows(NODES, QUOTAS, "s"), columns=Row._fields)
    few = rows[~((rows["level"] == 2) & (rows["key"] == "0")) & (rows["level"] != 1)]
    whole = tree_views(few, index_of(few), {})[0]
    assert [t.label for t in whole.tiles][-1] == "1 smaller node, 15 points"
    assert whole.tiles[-1].step == -1


def test_a_report_without_nodes_has_no_views() -> None:
    rows = pd.DataFrame([], columns=Row._fields)
    assert tree_views(rows, index_of(rows), {}) == []
