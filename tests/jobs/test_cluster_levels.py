"""The tree: its nodes and assignments fit together, and mean what the design says."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs import cluster_levels, embed_pool
from jobs.config.loading import parse_config
from jobs.runs import work
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.spark.shipping import ship
from udfs.shipping import Shipped

LEVELS = [40, 8, 3]


def run_on(spark: SparkSession, folder: Path, **cluster: Any) -> Run:
    """Cluster a folder's pool into a new root."""
    config = parse_config(
        {
            "input": {"table": f"{folder}/pool", "embedding": "vector"},
            "output": {"root": f"{folder}/{'_'.join(['lake', *cluster])}"},
            "embed": {"normalize": False},
            "dedup": {"exact": False},
            "cluster": {"levels": LEVELS, "resampling": {"rounds": 2}} | cluster,
            "samples": [{"name": "s", "target_size": 10, "share": {"leaves": 0.0}}],
        }
    )
    run = open_run(spark, config)
    run.do(embed_pool.STAGE)
    run.do(cluster_levels.STAGE)
    return run


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    X = np.random.default_rng(0).standard_normal((900, 5))
    rows = [(i, row.tolist()) for i, row in enumerate(X)]
    spark.createDataFrame(rows, "id long, vector array<double>").write.parquet(f"{folder}/pool")
    return folder


@pytest.fixture(scope="module")
def grown(spark: SparkSession, folder: Path) -> Run:
    return run_on(spark, folder)


@pytest.fixture(scope="module")
def nodes(grown: Run) -> pd.DataFrame:
    return grown.lake.read("nodes", grown.keys["cluster_levels"]).toPandas()


@pytest.fixture(scope="module")
def points(grown: Run) -> pd.DataFrame:
    assigned = grown.lake.read("assignments", grown.keys["cluster_levels"]).toPandas()
    embedded = grown.lake.read("embeddings", grown.keys["embed_pool"]).toPandas()
    return assigned.merge(embedded[["id", "embedding"]], on="id").sort_values("id")


def test_every_level_has_its_nodes_numbered_from_zero(nodes: pd.DataFrame) -> None:
    for level, k in enumerate(LEVELS, start=1):
        assert sorted(nodes[nodes.level == level].node_id) == list(range(k))


def test_counts_add_up_from_points_to_the_top(nodes: pd.DataFrame, points: pd.DataFrame) -> None:
    leaves = nodes[nodes.level == 1].set_index("node_id")
    assert leaves.n_points.to_dict() == points.leaf_id.value_counts().to_dict()
    for level in (2, 3):
        below = nodes[nodes.level == level - 1]
        here = nodes[nodes.level == level].set_index("node_id").sort_index()
        for column in ("n_points", "n_leaves"):
            assert here[column].to_dict() == below.groupby("parent_id")[column].sum().to_dict()
        assert here.n_children.to_dict() == below.groupby("parent_id").size().to_dict()
    assert nodes[nodes.level == 3].parent_id.isna().all()


def test_paths_follow_the_parents(nodes: pd.DataFrame, points: pd.DataFrame) -> None:
    parent = nodes.set_index(["level", "node_id"]).parent_id
    for row in points.head(50).itertuples():
        assert row.path[0] == row.leaf_id
        assert [parent[(t, row.path[t - 1])] for t in (1, 2)] == list(row.path[1:])


def test_every_point_is_in_its_nearest_leaf(nodes: pd.DataFrame, points: pd.DataFrame) -> None:
    X = np.stack(points.embedding.to_numpy()).astype(float)
    C = np.stack(nodes[nodes.level == 1].sort_values("node_id").centroid.to_numpy()).astype(float)
    to = ((X[:, None] - C[None]) ** 2).sum(axis=2)
    assert np.array_equal(to.argmin(axis=1), points.leaf_id)
    # distances are those of vectors rounded to the grid, 2^-24 of the largest norm
    assert np.allclose(points.sq_distance, to.min(axis=1), rtol=0, atol=1e-5)


def test_inertia_and_radius_describe_the_levels_inputs(
    nodes: pd.DataFrame, points: pd.DataFrame
) -> None:
    leaves = nodes[nodes.level == 1].set_index("node_id").sort_index()
    by_leaf = points.groupby("leaf_id").sq_distance
    assert np.allclose(leaves.inertia, by_leaf.sum().sort_index())
    assert np.allclose(leaves.radius, np.sqrt(by_leaf.max().sort_index()))
    for row in nodes[nodes.level == 2].itertuples():
        children = leaves[leaves.parent_id == row.node_id]
        offset = np.stack(children.centroid.to_numpy()).astype(float) - row.centroid
        assert np.isclose((offset**2).sum(), row.inertia, atol=1e-4)


def test_iterations_tell_every_level_and_round(grown: Run) -> None:
    log = grown.lake.read("iterations", grown.keys["cluster_levels"]).toPandas()
    assert set(zip(log.level, log["round"], strict=True)) == {
        (level, round_) for level in (1, 2, 3) for round_ in (0, 1, 2)
    }
    first = log[(log.level == 1) & (log["round"] == 0)].sort_values("iteration")
    assert (first.n_rows == 900).all()
    assert first.inertia.is_monotonic_decreasing


def test_what_was_shipped_is_freed_once_the_stage_is_finished(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped: list[Shipped] = []

    def shipping(spark: SparkSession, array: NDArray[Any]) -> Shipped:
        shipped.append(ship(spark, array))
        return shipped[-1]

    monkeypatch.setattr(work, "ship", shipping)
    run_on(spark, folder, solver="spark")
    assert [array.shape for array in shipped] == [(LEVELS[0], 5), (LEVELS[0], 3)]  # paths too
    assert not any(array.carrier._jbroadcast.isValid() for array in shipped)
