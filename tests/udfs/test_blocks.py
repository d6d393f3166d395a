"""Blocks on executors: packing, and the Spark source against the one in memory."""

import io

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.cluster_levels import pack_blocks
from jobs.clustering.spark_blocks import SparkBlocks, bins_of, to_spark
from udfs.blocks import (
    from_bytes,
    make_pack,
    make_scatter,
    points_in,
    source_batch,
    to_bytes,
)
from udfs.kernels.cells import fit_split
from udfs.kernels.kmeans import KMeansParams
from udfs.kernels.nearest import Centroids
from udfs.kernels.passes import positions
from udfs.kernels.resampling import fit_level
from udfs.kernels.sources import Batch, blocks_of
from udfs.kernels.steps import AssignAndSum, LabelPoints


def rows(block_ids: list[int], hashes: list[int], ids: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "block_id": pa.array(block_ids, pa.int32()),
            "hash": pa.array(hashes, pa.int64()),
            "id": pa.array(ids, pa.string()),
            "embedding": pa.array(
                [[b, h] for b, h in zip(block_ids, hashes, strict=True)], pa.list_(pa.float32())
            ),
        }
    )


def test_rows_of_a_block_come_together_by_hash_and_id() -> None:
    batches = [
        rows([0, 2, 0], [7, 5, 4], ["c", "d", "x"]),
        rows([], [], []),
        rows([2, 0, 4], [-3, 7, 9], ["e", "b", "f"]),
    ]
    bins = np.array([30, 11], np.int32)
    scattered = pa.Table.from_batches(list(make_scatter(0.5, 2, bins)(iter(batches))))
    assert set(scattered["bin"].to_pylist()) == {30}  # all blocks are even
    packed = pa.Table.from_batches(list(make_pack(2)(iter(scattered.to_batches(1)))))
    assert packed["block_id"].to_pylist() == [0, 2, 4]
    assert packed["n_rows"].to_pylist() == [3, 2, 1]
    assert packed["ids"].to_pylist() == [["x", "b", "c"], ["e", "d"], ["f"]]
    # on the grid of 0.5, coordinates are doubled
    first = np.frombuffer(packed["vectors"][0].as_py(), np.float32).reshape(-1, 2)
    assert first.tolist() == [[0, 8], [0, 14], [0, 14]]


def test_arrays_survive_the_way_to_the_driver_without_pickle() -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.empty(0, np.int64)}
    back = from_bytes(to_bytes(arrays))
    assert all(np.array_equal(back[k], arrays[k]) for k in arrays)
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([object()]))
    with pytest.raises(ValueError, match="pickle"):
        from_bytes(buffer.getvalue())


def embeddings(spark: SparkSession, n_parts: int) -> DataFrame:
    X = np.random.default_rng(0).standard_normal((700, 3)).astype(np.float32)
    table = pa.table({"id": pa.array(np.arange(700) * 7), "embedding": pa.array(list(X))})
    return spark.createDataFrame(table).repartition(n_parts)


def test_blocks_do_not_depend_on_partitioning(spark: SparkSession) -> None:
    packed = [
        pack_blocks(embeddings(spark, n), n_points=700, n_features=3, unit=2.0**-20, seed=1)
        .toArrow()
        .sort_by("block_id")
        for n in (1, 7)
    ]
    assert packed[0].equals(packed[1])
    assert packed[0]["block_id"].to_pylist() == [0, 1, 2]
    assert sum(packed[0]["n_rows"].to_pylist()) == 700


def test_points_survive_a_batch_of_blocks_in_any_order() -> None:
    where = positions(np.array([7, 2, 5]), np.array([2, 1, 3]))
    X = np.arange(12, dtype=np.float32).reshape(6, 2)
    batch = source_batch(where, X)
    assert batch["block_id"].to_pylist() == [7, 2, 5]
    assert batch["n_rows"].to_pylist() == [2, 1, 3]
    back, same = points_in(batch, 2)
    assert back.tolist() == where.tolist()
    assert same.tolist() == X.tolist()
    nothing, none = points_in(source_batch(where[:0], X[:0]), 2)
    assert len(nothing) == len(none) == 0


@pytest.fixture
def pair(spark: SparkSession):
    X = np.random.default_rng(4).integers(-9, 10, (2500, 3)).astype(np.float32)
    local = blocks_of(X)
    remote = to_spark(spark, local)
    yield local, remote
    remote.release()


def test_a_pass_on_executors_equals_one_in_memory(pair) -> None:
    local, remote = pair
    step = AssignAndSum(Centroids(local.X[::9]))
    for batch in (None, Batch(1, 4)):
        one, other = local.reduce(step, batch), remote.reduce(step, batch)
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_taken_points_are_the_same_on_executors(pair) -> None:
    local, remote = pair
    wanted = np.sort(local.reduce(LabelPoints(Centroids(local.X[:9])))["positions"][::3])
    one, other = local.take(wanted), remote.take(wanted)
    assert one.n_rows == other.n_rows == len(wanted)
    step = LabelPoints(Centroids(local.X[:5]))
    assert np.array_equal(one.reduce(step)["positions"], other.reduce(step)["positions"])
    other.release()


def test_a_whole_level_is_the_same_on_executors(pair) -> None:
    local, remote = pair
    params = KMeansParams(algorithm="minibatch", max_iter=2)
    found = [
        fit_level(source, 20, params, rounds=1, points=None, seed=9) for source in (local, remote)
    ]
    assert found[0].tobytes() == found[1].tobytes()


def test_cells_are_solved_the_same_on_executors(pair) -> None:
    local, remote = pair
    split = [
        fit_split(source, 60, 9, KMeansParams(), max_rows=500, seed=3) for source in (local, remote)
    ]
    one, other = (s.routing for s in split)
    assert one.leaves.tobytes() == other.leaves.tobytes()
    assert one.cells.vectors.tobytes() == other.cells.vectors.tobytes()
    assert one.starts.tolist() == other.starts.tolist()
    for name, described in split[0].described.items():
        assert described.tolist() == split[1].described[name].tolist()
    assert split[0].described["counts"].sum() == local.n_rows


def test_bins_level_out_and_the_largest_cell_comes_first() -> None:
    assert bins_of(np.array([5, 90, 40, 10, 45, 20]), 3).tolist() == [1, 0, 2, 1, 1, 2]


def test_the_head_is_the_first_blocks(pair) -> None:
    local, remote = pair
    one, other = local.head(3), remote.head(3)
    assert one.positions.tolist() == other.positions.tolist()
    assert one.X.tolist() == other.X.tolist()
    assert 600 < one.n_rows < 1200


def test_a_source_knows_its_size(spark: SparkSession) -> None:
    X = np.ones((10, 2), np.float32)
    remote = to_spark(spark, blocks_of(X))
    assert isinstance(remote, SparkBlocks)
    assert (remote.n_rows, remote.n_features, remote.n_blocks) == (10, 2, 1)
