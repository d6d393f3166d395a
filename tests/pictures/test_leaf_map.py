"""The map of nodes: places from principal components, the same on any order of rows."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jobs.pictures.leaf_map import MAX_MAPPED, map_rows, mapped_level, places_on_map
from jobs.pictures.map_view import map_view
from jobs.reporting.rows import Row


def test_places_by_hand() -> None:
    # along (1, 1) twice as far as along (1, -1)
    C = np.array([[2, 2], [-2, -2], [1, -1], [-1, 1]], np.float32)
    places = places_on_map(C)
    assert places[:2].tolist() == [[1, 0.5], [0, 0.5]]
    assert sorted(places[2:].tolist()) == [[0.5, 0.25], [0.5, 0.75]]


@pytest.mark.parametrize("shape", [(200, 8), (8, 200)])
def test_places_are_those_of_principal_components(shape: tuple[int, int], seed: int) -> None:
    from sklearn.decomposition import PCA

    C = np.random.default_rng(seed).standard_normal(shape) * np.linspace(3, 1, shape[1])
    mine, theirs = places_on_map(C), PCA(2, svd_solver="full").fit_transform(C)
    theirs /= np.ptp(theirs, axis=0).max()
    for axis in (0, 1):
        centred = mine[:, axis] - mine[:, axis].mean()
        other = theirs[:, axis] - theirs[:, axis].mean()
        assert min(abs(centred - other).max(), abs(centred + other).max()) < 0.01


@pytest.mark.parametrize(
    "C", [np.ones((1, 3)), np.ones((4, 1)), np.zeros((3, 2)), [[0.0], [1.0]]], ids=str
)
def test_too_few_nodes_or_features_still_have_places(C: list[list[float]]) -> None:
    places = places_on_map(np.array(C))
    assert places.shape == (len(C), 2)
    assert np.isfinite(places).all()


def test_the_finest_level_with_few_enough_nodes_is_shown() -> None:
    assert mapped_level((10, 3)) == 1
    assert mapped_level((MAX_MAPPED + 1, 300, 20)) == 2
    assert mapped_level((9 * MAX_MAPPED, 5 * MAX_MAPPED)) == 2


def some_nodes(n: int, seed: int) -> tuple[pa.Table, pa.Table]:
    rng = np.random.default_rng(seed)
    C = rng.standard_normal((n, 6)).astype(np.float32)
    nodes = {"node_id": np.arange(n), "n_points": rng.integers(1, 50, n), "centroid": list(C)}
    quotas = {"sample": ["s"] * n, "level": [1] * n, "node_id": np.arange(n), "quota": [1] * n}
    return pa.table(nodes), pa.table(quotas)


def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    nodes, quotas = some_nodes(60, seed)
    order = np.random.default_rng(seed).permutation(60)
    assert map_rows(1, nodes.take(order), quotas, "s") == map_rows(1, nodes, quotas, "s")


def test_of_a_large_level_the_largest_nodes_are_shown(seed: int) -> None:
    nodes, quotas = some_nodes(MAX_MAPPED + 50, seed)
    rows = [row for row in map_rows(1, nodes, quotas, "s") if row.metric == "n_points"]
    sizes = np.sort(nodes["n_points"].to_numpy())[::-1]
    assert [row.value for row in rows] == sizes[:MAX_MAPPED].tolist()


def test_circles_follow_points_and_colours_what_was_kept(seed: int) -> None:
    nodes = pa.table({"node_id": [0, 1], "n_points": [16, 4], "centroid": [[0.0, 0], [1, 0]]})
    quotas = {"sample": ["s"] * 2, "level": [1] * 2, "node_id": [0, 1], "quota": [0, 4]}
    rows = pd.DataFrame(map_rows(1, nodes, pa.table(quotas), "s"), columns=Row._fields)
    view = map_view(rows, {}, frozenset({"node-1-1"}))
    assert view is not None
    assert [(m.step, m.opens) for m in view.marks] == [(0, None), (7, "node-1-1")]
    assert view.marks[0].radius == 2 * view.marks[1].radius
    assert view.marks[1].said == "node 1: 4 points, 4 kept (100%; uniform 0.8)"
    assert all(0 < m.x < view.width and 0 < m.y < view.height for m in view.marks)


def test_a_report_without_a_map_shows_none() -> None:
    assert map_view(pd.DataFrame([], columns=Row._fields), {}, frozenset()) is None
