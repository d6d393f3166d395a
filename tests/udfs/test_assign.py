"""Points labelled in memory, against executors' rows and against brute force."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from udfs import assign as assign_module
from udfs.assign import assigned, make_assign
from udfs.kernels.cells.routing import Routing, leaf_finder
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.passes.step import positions
from udfs.points import LocalPoints, PointReader
from udfs.shipping import Shipped, digest_of


def test_points_in_memory_are_labelled_as_on_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(-9, 10, (60, 2)).astype(np.float32)
    leaves, cells = X[:12], X[:3]
    routing = Routing(Centroids(cells), leaves, np.array([0, 5, 8, 12]))
    paths = np.stack([np.arange(12), np.arange(12) // 4], axis=1)
    where = positions(np.array([0]), np.array([60]))
    sent = Shipped(paths.tobytes(), paths.shape, paths.dtype.str, digest_of(paths.tobytes()))
    ids = pa.array([f"p{i}" for i in range(60)])
    table = pa.table({"id": ids, "embedding": pa.array(list(X * np.float32(0.5)))})
    monkeypatch.setattr(assign_module, "ASSIGN_BYTES", 7 * 4 * 2)
    for routed in (None, routing):
        begin = partial(leaf_finder, Centroids(leaves), routed)
        assign = make_assign(PointReader(0.5, 2), begin, sent)
        remote = list(assign(iter(table.to_batches(max_chunksize=4))))
        assert [len(batch) for batch in remote] == [8] * 7 + [4]
        for n_threads in (1, 3):
            points = LocalPoints(where, X, 1, n_threads, ids=ids)
            local = assigned(points, begin, paths).sort_by("id")
            assert local.equals(pa.Table.from_batches(remote).sort_by("id"))
    by_hand = ((X[:, None] - leaves) ** 2).sum(axis=2)
    flat = assigned(points, partial(leaf_finder, Centroids(leaves)), paths).to_pydict()
    numbers = [int(i[1:]) for i in flat["id"]]
    assert flat["leaf_id"] == by_hand.argmin(axis=1)[numbers].tolist()
    assert flat["path"] == paths[flat["leaf_id"]].tolist()
    assert flat["sq_distance"] == by_hand.min(axis=1)[numbers].tolist()
