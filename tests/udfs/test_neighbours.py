"""Neighbours in cells: which members are where, which are found, in any order of rows."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.neighbours import make_find, make_nearest, make_send
from udfs.points import PointReader
from udfs.shipping import Shipped, digest_of

READ = PointReader(1.0, 1)
CELLS = np.array([[0], [10]], np.float32)
IDS = ["a", "b", "c", "d", "e"]
X = np.array([[0], [1], [4], [6], [11]], np.float32)  # c and d on both sides of the border


def shipped(array: NDArray[np.float32]) -> Shipped:
    content = array.tobytes()
    return Shipped(content, array.shape, array.dtype.str, digest_of(content))


def rows(order: list[int], n_member: int, n_asked: list[int]) -> Iterator[pa.RecordBatch]:
    columns = {
        "id": pa.array([IDS[i] for i in order]),
        "embedding": pa.array([X[i].tolist() for i in order], pa.list_(pa.float32())),
        "n_member": pa.array([n_member] * len(order), pa.int32()),
        "n_asked": pa.array([n_asked[i] for i in order], pa.int32()),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    yield batch.slice(0, 2)
    yield batch.slice(2)


def found(order: list[int], n_member: int, n_asked: list[int]) -> list[tuple[str, list]]:
    send = make_send(READ, shipped(CELLS), np.array([3, 3], np.int32))
    sent = list(send(rows(order, n_member, n_asked)))
    assert {bin_ for batch in sent for bin_ in batch.column("bin").to_pylist()} == {3}
    return [
        (row["id"], [(n["sq_distance"], n["id"]) for n in row["nearest"]])
        for batch in make_find(READ, 2)(iter(sent))
        for row in batch.to_pylist()
    ]


def test_a_point_finds_those_for_whom_its_cell_is_the_nearest_or_the_second() -> None:
    assert sorted(found([0, 1, 2, 3, 4], 2, [1] * 5)) == [
        ("a", [(1, "b"), (16, "c")]),
        ("b", [(1, "a"), (9, "c")]),
        ("c", [(4, "d"), (9, "b")]),
        ("d", [(4, "c"), (25, "b")]),
        ("e", [(25, "d"), (49, "c")]),
    ]


def test_members_of_one_cell_are_found_by_those_who_ask_there_too() -> None:
    assert sorted(found([0, 1, 2, 3, 4], 1, [0, 0, 2, 0, 0])) == [
        ("c", [(4, "d"), (49, "e")]),  # in its second cell
        ("c", [(9, "b"), (16, "a")]),  # in its own
    ]


def test_the_order_of_rows_changes_nothing() -> None:
    for n_member, n_asked in ((2, [1] * 5), (1, [0, 2, 2, 0, 1])):
        one = found([0, 1, 2, 3, 4], n_member, n_asked)
        assert sorted(found([3, 0, 4, 2, 1], n_member, n_asked)) == sorted(one)


def test_a_task_without_rows_finds_nobody() -> None:
    assert list(make_find(READ, 2)(iter(()))) == []
    (row,) = make_nearest(READ, shipped(X), 2)(iter(()))
    assert np.isinf(np.frombuffer(row.column("sq_dist")[0].as_py())).all()


def test_the_nearest_of_a_task_are_the_point_itself_and_the_nearest_other() -> None:
    (row,) = make_nearest(READ, shipped(X), 2)(rows([4, 3, 2, 1, 0], 0, [0] * 5))
    nearest = np.frombuffer(row.column("sq_dist")[0].as_py()).reshape(5, 2)
    assert nearest.tolist() == [[0, 1], [0, 1], [0, 4], [0, 4], [0, 25]]
