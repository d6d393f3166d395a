"""Scatter over planted concepts: its share of a balanced sample, and what the gate leaves."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from jobs.outliers.scores import scale_of
from jobs.outliers.search import N_ASKED_AGAIN, N_NEIGHBOURS
from jobs.sections.cluster import ClusterConfig
from jobs.sections.share import Powers
from jobs.tuning.trials import SampledTree
from tests.pools import grouped_mixture, scattered_over
from udfs.kernels.cells.coarse import fit_cells
from udfs.kernels.exact.grid import grid_unit, to_grid
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.exact.neighbours import nearest_among
from udfs.kernels.passes.sources import blocks_of
from udfs.neighbours import make_find, make_send
from udfs.points import PointReader
from udfs.shipping import Shipped, digest_of

N_CONCEPTS, N_FEATURES, LIMIT = 100, 48, 6.0
UNIT = grid_unit(1.0)


class Planted(NamedTuple):
    """Points on the grid, their concepts (-1 is scatter), and their distances by brute force."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    distances: NDArray[np.float64]


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Draw 5000 points of 100 unrelated Zipf concepts, the smallest of six, and 2% scatter."""
    concepts = grouped_mixture(
        1, n_points=5000, n_groups=N_CONCEPTS, per_group=1, n_features=N_FEATURES
    )
    X, y = scattered_over(concepts, 1, share=0.02)
    X = to_grid(X, UNIT)
    found = nearest_among(X, Centroids(X), N_NEIGHBOURS, own=np.arange(len(X)))
    return Planted(X, y, np.sqrt(found.sq_dist[:, -1]))


def scatter_drawn(planted: Planted, stay: NDArray[np.bool_]) -> float:
    """Return scatter's share of a balanced sample of those that stay."""
    cluster = ClusterConfig.model_validate(
        {"levels": [4 * N_CONCEPTS, N_CONCEPTS], "split": "off", "resampling": {"rounds": 1}}
    )
    tree = SampledTree(planted.X[stay], cluster, seed=1, n_threads=2)
    return float((planted.y[stay][tree.draw(2, 500, Powers())] < 0).mean())


def n_lost(planted: Planted, stay: NDArray[np.bool_]) -> int:
    had, left = (np.bincount(planted.y[m & (planted.y >= 0)], minlength=N_CONCEPTS)
                 for m in (planted.y >= 0, stay))  # fmt: skip
    return int(((had > N_NEIGHBOURS) & (left == 0)).sum())


def test_scatter_takes_a_large_part_of_a_balanced_sample_and_none_beyond_the_gate(
    planted: Planted,
) -> None:
    everyone = np.ones(len(planted.y), bool)
    assert scatter_drawn(planted, everyone) > 4 * (planted.y < 0).mean()
    stay = scale_of(planted.distances).scores(planted.distances) <= LIMIT
    assert scatter_drawn(planted, stay) < 0.01
    assert n_lost(planted, stay) == 0
    assert (planted.y[~stay] < 0).mean() > 0.9


def in_cells(
    planted: Planted, C: NDArray[np.float32], n_member: int, n_asked: NDArray[np.int64]
) -> dict[int, float]:
    """Return the distances that those who ask find in the cells, as the executors do it."""
    content = C.tobytes()
    cells = Shipped(content, C.shape, C.dtype.str, digest_of(content))
    n, read = len(planted.y), PointReader(1.0, N_FEATURES)
    batch = pa.RecordBatch.from_pydict(
        {
            "id": pa.array(np.arange(n)),
            "embedding": pa.array(list(planted.X), pa.list_(pa.float32())),
            "n_member": pa.array(np.full(n, n_member), pa.int32()),
            "n_asked": pa.array(n_asked, pa.int32()),
        }
    )
    sent = make_send(read, cells, np.zeros(len(C), np.int32))(iter([batch]))
    found: dict[int, list[float]] = {}
    for part in make_find(read, N_NEIGHBOURS)(sent):
        for row in part.to_pylist():
            found.setdefault(row["id"], []).extend(n["sq_distance"] for n in row["nearest"])
    return {id_: np.sqrt(sorted(near)[N_NEIGHBOURS - 1]) for id_, near in found.items()}


def test_small_concepts_that_cells_cut_up_stay_as_who_looks_far_away_asks_again(
    planted: Planted,
) -> None:
    n = len(planted.y)
    C = fit_cells(blocks_of(planted.X), 60, 60, max_rows=n, seed=3).centroids
    once = in_cells(planted, C, 2, np.ones(n, int))
    first = np.array([once[i] for i in range(n)])
    assert (first >= planted.distances).all()
    scores = scale_of(first).scores(first)
    is_far = scores > LIMIT
    assert 0 < (is_far & (planted.y >= 0)).sum()  # alone only because of the cells
    again = in_cells(planted, C, 1, np.where(is_far, N_ASKED_AGAIN, 0))
    assert [*again] and {*again} == {*np.flatnonzero(is_far)}
    assert all(again[i] == planted.distances[i] for i in again)
    exact = np.where(is_far, planted.distances, first)
    stay = (scores <= LIMIT) | (scale_of(first).scores(exact) <= LIMIT)
    assert n_lost(planted, stay) == 0
    assert (stay & (planted.y < 0)).sum() == 0


def test_a_limit_that_no_direction_reaches_is_told() -> None:
    wide = scale_of(np.array([0.3, 0.6, 0.65, 0.7, 1.1]))  # median .65, MAD .05
    assert wide.out_of_reach(6, is_normal=True) is None
    wider = scale_of(np.array([0.1, 0.5, 0.7, 0.9, 1.2]))  # median .7, MAD .2
    said = wider.out_of_reach(6, is_normal=True)
    assert said is not None
    assert "max_score=6 is a distance of 2.48" in said
    assert "a score of 2.4" in said
    assert wider.out_of_reach(6, is_normal=False) is None
    assert wider.out_of_reach(2, is_normal=True) is None


def test_points_without_neighbours_have_no_score() -> None:
    alone = scale_of(np.array([np.inf]))
    assert alone.scores(np.array([np.inf])).tolist() == [0]
    some = scale_of(np.array([np.inf, 1, 2, 3]))
    assert some.scores(np.array([np.inf, 2])).tolist() == [0, 0]
