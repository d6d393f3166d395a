"""The user's trainer: points sent to their cluster's task, encoders of its layers, refusals."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from udfs.blocks import from_bytes
from udfs.embedders.contract import EmbedderError
from udfs.embedders.python import Code
from udfs.kernels.contrast.encoders import Encoder, as_floats
from udfs.kernels.joint.dots import to_coordinates
from udfs.points import as_binary
from udfs.trainers import Sent, make_send, make_train

N, N_FEATURES = 60, 4
KEYS = np.array([70, 71], np.int32)


def means(sign: float = 1.0) -> Any:
    """Return a trainer: a component along the mean point, and one along all features."""

    def train(a: Any, b: Any, seed: int) -> Any:
        mean = sign * (a + b).mean(axis=0)
        return [(np.column_stack([mean, 0 * mean + 1]), np.zeros(2))]

    return train


def broken(kind: str) -> Any:
    answers = {
        "short": [(np.ones((3, 2)), np.zeros(2))],
        "many": [(np.ones((4, 4)), np.zeros(4))] * 3,
        "nan": [(np.full((4, 2), np.nan), np.zeros(2))],
        "none": None,
    }
    return lambda a, b, seed: answers[kind]


def rows() -> pa.Table:
    rng = np.random.default_rng(0)
    both = [rng.standard_normal((N, N_FEATURES)) + 2 for _ in range(2)]
    a, b = (
        as_binary(to_coordinates(X / np.linalg.norm(X, axis=1, keepdims=True)), np.arange(N + 1))
        for X in both
    )
    draw, label = rng.permutation(N), np.arange(N, dtype=np.int32) % 3
    return pa.table({"id": range(N), "a": a, "b": b, "draw": draw, "label": label})


def sent(cuts: list[int]) -> pa.Table:
    """Send points of three clusters, of which the last joined the first."""
    of = Sent(None, np.array([0, 1, 0]), KEYS, np.array(cuts))
    return pa.Table.from_batches(list(make_send(of)(iter(rows().to_batches()))))


def test_points_go_to_the_task_of_their_cluster_those_of_large_draws_stay() -> None:
    found = sent([N, 9])
    by_id = rows().to_pylist()
    for row in found.to_pylist():
        mine = by_id[row["id"]]
        cluster = {0: 0, 1: 1, 2: 0}[mine["label"]]
        assert (row["cluster"], row["bin"]) == (cluster, KEYS[cluster])
        assert (row["a"], row["b"], row["draw"]) == (mine["a"], mine["b"], mine["draw"])
    wanted = {r["id"] for r in by_id if r["label"] != 1 or r["draw"] <= 9}
    assert {row["id"] for row in found.to_pylist()} == wanted


def encoders(table: pa.Table, n_rows: int = N, **options: Any) -> dict[int, Encoder]:
    code = Code(__name__, "means", '{"sign": -1.0}' if options else "{}")
    made = make_train(code, n_rows, 0)(iter(table.to_batches()))
    found = [row for batch in made for row in batch.to_pylist()]
    return {row["cluster"]: Encoder.of(from_bytes(row["payload"])) for row in found}


def test_each_cluster_has_its_own_encoder_whatever_the_order_of_its_rows() -> None:
    table = sent([N, N])
    found = encoders(table)
    shuffled = encoders(table.take(pa.array(np.random.default_rng(1).permutation(len(table)))))
    assert sorted(found) == [0, 1]
    for k, encoder in found.items():
        for name, value in encoder.arrays().items():
            np.testing.assert_array_equal(value, shuffled[k].arrays()[name])
    few = encoders(table, n_rows=5)
    assert (few[0].layers[0].weights != found[0].layers[0].weights).any()
    code = as_floats(found[0](np.ones((1, N_FEATURES)) * 1000))
    assert code[0, 0] > 0 and np.linalg.norm(code) == pytest.approx(1)
    turned = as_floats(encoders(table, sign=-1)[0](np.ones((1, N_FEATURES)) * 1000))
    assert turned[0, 0] == pytest.approx(-code[0, 0])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("short", r"gave layers of shapes \[\(\(3, 2\), \(2,\)\)\]; want one or two of finite"),
        ("many", "want one or two of finite numbers"),
        ("nan", "want one or two of finite numbers"),
        ("none", "broken failed on 40 rows with TypeError"),
    ],
)
def test_layers_that_cannot_be_used_are_refused(kind: str, said: str) -> None:
    code = Code(__name__, "broken", f'{{"kind": "{kind}"}}')
    with pytest.raises(EmbedderError, match=said):
        list(make_train(code, N, 0)(iter(sent([N, N]).to_batches())))
