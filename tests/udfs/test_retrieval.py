"""Retrieval: by brute force, however points are cut into batches and tasks."""

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest

from udfs.near import DirectionReader
from udfs.retrieval import first_of, make_retrieve
from udfs.shipping import Shipped, digest_of

N_POINTS, N_FEATURES, K = 90, 6, 7


def here(X: np.ndarray) -> Shipped:
    return Shipped(X.tobytes(), X.shape, str(X.dtype), digest_of(X.tobytes()))


def batch_of(ids: list[str], X: np.ndarray) -> pa.RecordBatch:
    vectors = pa.array([x.tolist() for x in X], pa.list_(pa.float32()))
    return pa.record_batch([pa.array(ids), vectors], names=["id", "embedding"])


@pytest.mark.parametrize("n_batches", [1, 4])
@pytest.mark.parametrize("n_tasks", [1, 3])
def test_the_nearest_by_cosine_are_found(seed: int, n_batches: int, n_tasks: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_POINTS, N_FEATURES)).astype(np.float32)
    X[10:20] = 3 * X[0]  # copies in direction: ties go by id
    ids = [f"p{i:02}" for i in rng.permutation(N_POINTS)]
    read = DirectionReader(N_FEATURES, is_normal=False)
    seeds = read(batch_of(["a", "b", "c"], np.array([X[0], X[3], -X[5]])))
    retrieve, parts = make_retrieve(read, here(seeds), K), []
    for task in np.array_split(np.arange(N_POINTS), n_tasks):
        rows = [
            batch_of([ids[i] for i in some], X[some]) for some in np.array_split(task, n_batches)
        ]
        parts += retrieve(iter([*rows, rows[0].slice(0, 0)]))
    found = first_of(pa.Table.from_batches(parts), K)
    points = read(batch_of(ids, X)).astype(np.float64)
    for i, x in enumerate(seeds.astype(np.float64)):
        distances = ((points - x) ** 2).sum(axis=1)
        wanted = sorted(range(N_POINTS), key=[*zip(distances, ids, strict=True)].__getitem__)[:K]
        mine = found.filter(pa.compute.equal(found["seed"], i))
        assert mine["id"].to_pylist() == [ids[j] for j in wanted]
        assert mine["sq_distance"].to_pylist() == [distances[j] for j in wanted]


def test_a_task_without_points_finds_nothing() -> None:
    read = DirectionReader(2, is_normal=True)
    retrieve = make_retrieve(read, here(np.eye(2, dtype=np.float32)), K)
    assert [*retrieve(iter([]))] == []
