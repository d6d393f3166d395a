"""A second embedding that lacks some rows: sample and control are compared by as many vectors."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.advice.judge import Vectors, judged
from jobs.reporting.rows import Row
from udfs.kernels.exact.grid import to_grid

N, UNIT = 600, 2.0**-20
EVEN, ODD = np.arange(0, N, 2), np.arange(1, N, 2)  # only even ids have a vector


def vectors(n_without: int) -> Vectors:
    X = np.random.default_rng(0).standard_normal((len(EVEN), 4)).astype(np.float32)
    return Vectors(pa.array(EVEN), to_grid(X, UNIT), UNIT, n_without)


def rows_of(*ids: np.ndarray) -> pa.Table:
    return pa.table({"id": np.concatenate(ids)})


# each uniform draw holds 20 rows with a vector and 20 without; all points judge
DRAWN = [rows_of(np.arange(N)), rows_of(EVEN[:20], ODD[:20])] * 3


def figures(rows: list[Row], sample: str) -> dict[str, tuple[float, float | None]]:
    return {r.metric: (r.value, r.control) for r in rows if r.sample == sample and r.key is None}


def test_a_sample_gains_nothing_by_having_more_vectors_than_its_control() -> None:
    rows = judged(vectors(300), {"s": rows_of(EVEN[:40])}, DRAWN, 3)
    found = figures(rows, "s")
    assert found["coverage_gap"][0] == 0  # its first 20 vectors are those of the control
    assert found["n_compared"] == (20, None)
    assert found["n_rows"] == (40, None)
    assert found["n_without_vector"] == (0, 20)


def test_a_sample_that_lacks_more_vectors_is_compared_with_a_smaller_control() -> None:
    rows = judged(vectors(300), {"s": rows_of(EVEN[:10], ODD[:30])}, DRAWN, 3)
    found = figures(rows, "s")
    assert found["coverage_gap"][0] == 0
    assert (found["n_compared"], found["n_without_vector"]) == ((10, None), (30, 20))


@pytest.mark.parametrize("drawn", [DRAWN, [*DRAWN[:-1], rows_of(ODD)]])
def test_without_vectors_nothing_is_claimed(drawn: list[pa.Table]) -> None:
    ids = ODD if drawn is DRAWN else EVEN
    rows = judged(vectors(300), {"s": rows_of(ids[:40])}, drawn, 3)
    found = figures(rows, "s")
    assert found["n_compared"] == (0, None)
    assert "coverage_gap" not in found
