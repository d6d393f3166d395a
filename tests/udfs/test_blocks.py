"""Points on executors: packing, and the Spark sources against the in-memory one."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from jobs.clustering import sizes, spark_blocks
from jobs.clustering.sizes import bins_of
from jobs.clustering.spark_blocks import SparkBlocks
from jobs.clustering.spark_points import SparkPoints
from udfs.block_files import FromFiles, make_keep
from udfs.blocks import from_bytes, points_in, source_batch, to_bytes
from udfs.kernels.cells.split import fit_split
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import KMeansParams
from udfs.kernels.kmeans.resampling import fit_level
from udfs.kernels.passes.sources import Batch, LocalBlocks
from udfs.kernels.passes.step import positions
from udfs.kernels.passes.steps.members import LabelPoints
from udfs.kernels.passes.steps.sums import AssignAndSum
from udfs.points import LocalPoints, PointReader, fetched, pool_order
from udfs.shuffles import ByBlock, make_pack, make_scatter


def rows(hashes: list[int], embeddings: list[list[float]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "hash": pa.array(hashes, pa.int64()),
            "embedding": pa.array(embeddings, pa.list_(pa.float32())),
        }
    )


def test_rows_of_a_block_come_together_by_hash() -> None:
    batches = [rows([10, 2, 5], [[1], [2], [3]]), rows([], []), rows([-1, 7], [[4], [5]])]
    bins = np.array([30, 11, 30, 11, 30], np.int32)
    scatter = make_scatter(PointReader(0.5, 1), ByBlock(5), bins)
    scattered = pa.Table.from_batches(list(scatter(iter(batches))))
    assert set(scattered["bin"].to_pylist()) == {30}  # hashes 10, 5: block 0; 2, 7: 2; -1: 4
    packed = pa.Table.from_batches(list(make_pack(1, 5)(iter(scattered.to_batches(1)))))
    assert packed["block_id"].to_pylist() == [0, 2, 4]
    assert packed["n_rows"].to_pylist() == [2, 2, 1]
    # on the grid of 0.5, coordinates are doubled
    vectors = [np.frombuffer(v.as_py(), np.float32).tolist() for v in packed["vectors"]]
    assert vectors == [[6, 2], [4, 10], [8]]


def test_points_are_fetched_in_the_pools_order() -> None:
    batches = [rows([10, 2, 5], [[1], [2], [3]]), rows([-1, 7], [[4], [5]])]
    table = pa.Table.from_batches(batches).add_column(0, "id", pa.array(list("abcde")))
    for n_threads in (1, 2):
        points = fetched(table, PointReader(0.5, 1), 5, n_threads)
        assert points.X.ravel().tolist() == [6, 2, 4, 10, 8]
        assert isinstance(points, LocalPoints)
        assert points.ids.to_pylist() == ["c", "a", "b", "e", "d"]
        assert points.positions.tolist() == [0, 1, 2 << 32, (2 << 32) + 1, 4 << 32]
    nothing = fetched(table.schema.empty_table(), PointReader(0.5, 1), 5, 1)
    assert nothing.X.shape == (0, 1)


def test_points_whose_hashes_collide_are_ordered_by_content() -> None:
    hashes = np.array([7, 3, 7, 7])
    X = np.array([[2, 1], [0, 0], [1, 9], [2, 0]], np.float32)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        found = pool_order(hashes[order], [X[order[:1]], X[order[1:]]], 4)
        assert X[order][found].tolist() == [[0, 0], [2, 0], [2, 1], [1, 9]]


def test_arrays_survive_the_way_to_the_driver_without_pickle() -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.empty(0, np.int64)}
    back = from_bytes(to_bytes(arrays))
    assert all(np.array_equal(back[k], arrays[k]) for k in arrays)
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([object()]))
    with pytest.raises(ValueError, match="pickle"):
        from_bytes(buffer.getvalue())


def pool_of(spark: SparkSession, X: NDArray[np.float32], n_parts: int) -> SparkPoints:
    """Return the pool as rows, its ids every seventh number, on a grid with coordinates X."""
    ids, unit = np.arange(len(X)) * 7, 2.0**-20
    table = pa.table({"id": pa.array(ids), "embedding": pa.array(list(X * np.float32(unit)))})
    frame = spark.createDataFrame(table).repartition(n_parts)
    return SparkPoints(frame, n_rows=len(X), n_features=X.shape[1], unit=unit, seed=1)


def blocks_in_spark(pool: SparkPoints, blocks: DataFrame) -> SparkBlocks:
    return SparkBlocks(
        blocks, n_rows=pool.n_rows, n_features=pool.n_features, n_blocks=pool.n_blocks
    )


def integers(n: int) -> NDArray[np.float32]:
    return np.random.default_rng(4).integers(-9, 10, (n, 3)).astype(np.float32)


def test_blocks_do_not_depend_on_partitioning(spark: SparkSession) -> None:
    X = integers(700)
    packed = [pool_of(spark, X, n).pack().toArrow().sort_by("block_id") for n in (1, 7)]
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


Trio = tuple[LocalBlocks, SparkBlocks, SparkPoints]


@pytest.fixture(scope="module")
def trio(spark: SparkSession):
    pool = pool_of(spark, integers(2500), 3)
    remote = blocks_in_spark(pool, pool.pack())
    yield pool.fetch(), remote, pool
    remote.release()


def test_sources_know_their_size(trio: Trio) -> None:
    for source in trio:
        assert (source.n_rows, source.n_features, source.n_blocks) == (2500, 3, 9)


def test_a_pass_on_executors_equals_one_in_memory(trio: Trio) -> None:
    local, remote, _ = trio
    step = AssignAndSum(Centroids(local.X[::9]))
    for batch in (Batch(4, 4), Batch(1, 4)):
        one, other = local.part(batch).reduce(step), remote.part(batch).reduce(step)
        assert one["counts"].sum() == (2500 if batch.size == 4 else 878)
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_sums_are_the_same_added_up_on_executors(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, _, pool = trio
    remote = blocks_in_spark(pool, pool.pack())
    monkeypatch.setattr(sizes, "SUMS_BYTES", 0)
    step = AssignAndSum(Centroids(local.X[::9]))
    one, other = local.reduce(step), remote.reduce(step)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    files_of(remote)[0].unlink()  # blocks from other sources come in ranges too
    again = remote.reduce(step)
    assert all(np.array_equal(one[name], again[name]) for name in one)
    remote.release()


def files_of(blocks: SparkBlocks) -> list[Path]:
    """Return the files that the executors keep blocks in."""
    assert blocks._files is not None
    return [Path(row.path) for row in blocks._files.select("path").collect()]


@pytest.mark.parametrize("lost", ["none", "some", "all", "cut"])
def test_blocks_whose_file_is_lost_come_another_way(trio: Trio, lost: str) -> None:
    local, _, pool = trio
    remote = blocks_in_spark(pool, pool.pack())
    files = files_of(remote)
    assert sum(path.stat().st_size for path in files) == local.X.nbytes
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    for path in files[: {"none": 0, "some": 1, "all": len(files), "cut": 0}[lost]]:
        path.unlink()
    if lost == "cut":
        os.truncate(files[0], 12)
    step = AssignAndSum(Centroids(local.X[::9]))
    for batch in (Batch(4, 4), Batch(1, 4)):
        one, other = local.part(batch).reduce(step), remote.part(batch).reduce(step)
        assert all(np.array_equal(one[name], other[name]) for name in one)
    wanted = local.positions[::7]
    one, other = local.take(wanted), remote.take(wanted)
    assert np.array_equal(one.positions, other.positions)
    assert np.array_equal(one.X, other.X)
    remote.release()
    assert not any(path.exists() for path in files)


def test_what_no_pass_has_read_is_not_written_to_be_removed(trio: Trio) -> None:
    unread = blocks_in_spark(trio[2], trio[2].pack())
    unread.release()
    assert "_files" not in vars(unread)


def test_a_disk_that_takes_no_file_leaves_blocks_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = source_batch(positions(np.array([7, 2]), np.array([2, 1])), integers(3))
    for folders in ("/nowhere/at/all", ""):
        monkeypatch.setenv("SPARK_LOCAL_DIRS", folders)
        missing: list[bytes] = []
        kept = make_keep(3)(iter([batch]))
        assert list(FromFiles(3)(kept, missing)) == []
        assert np.frombuffer(missing[0], np.int32).tolist() == [7, 2]


def test_a_session_that_encrypts_what_it_writes_gets_no_plain_files(
    spark: SparkSession, trio: Trio
) -> None:
    local, _, pool = trio
    guard = "spark.sql.legacy.setCommandRejectsSparkCoreConfs"
    spark.conf.set(guard, "false")
    spark.conf.set("spark.io.encryption.enabled", "true")
    try:
        remote = blocks_in_spark(pool, pool.pack())
        assert remote._files is None
    finally:
        spark.conf.unset("spark.io.encryption.enabled")
        spark.conf.unset(guard)
    step = LabelPoints(Centroids(local.X[:5]))
    assert np.array_equal(local.reduce(step)["labels"], remote.reduce(step)["labels"])
    remote.release()


@pytest.mark.parametrize("fits", [False, True])
def test_taken_points_are_the_same_on_executors(
    trio: Trio, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, remote, _ = trio
    monkeypatch.setattr(spark_blocks, "comes_to_driver", lambda n_bytes: fits)
    wanted = np.sort(local.reduce(LabelPoints(Centroids(local.X[:9])))["positions"][::3])
    one, other = local.take(wanted), remote.take(wanted)
    assert isinstance(other, LocalBlocks if fits else SparkBlocks)
    assert one.n_rows == other.n_rows == len(wanted)
    step = LabelPoints(Centroids(local.X[:5]))
    found, same = one.reduce(step), other.reduce(step)
    assert all(np.array_equal(found[name], same[name]) for name in found)
    other.release()


def test_a_whole_level_is_the_same_on_executors(trio: Trio) -> None:
    params = KMeansParams(algorithm="minibatch", max_iter=2)
    found = [fit_level(source, 20, params, rounds=1, points=None, seed=9) for source in trio[:2]]
    assert found[0].tobytes() == found[1].tobytes()


def test_cells_are_solved_the_same_on_executors(trio: Trio) -> None:
    local, _, pool = trio
    split = [
        fit_split(source, 60, 9, KMeansParams(), max_rows=500, seed=3) for source in (local, pool)
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


def test_the_head_is_the_first_blocks(trio: Trio) -> None:
    local, _, pool = trio
    one, other = local.head(3), pool.head(3)
    assert one.positions.tolist() == other.positions.tolist()
    assert one.X.tolist() == other.X.tolist()
    assert 600 < one.n_rows < 1200
