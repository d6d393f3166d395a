"""The tree as rows: vectors split into as many chunks as their offsets need."""

import numpy as np
import pytest

from jobs.clustering import tree_rows
from jobs.clustering.level import Level


@pytest.mark.parametrize("most", [1, 7, 12, 1000])
def test_vectors_come_in_chunks_whose_offsets_fit(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    C = np.arange(20, dtype=np.float32).reshape(5, 4)
    ones = np.ones(5, np.int64)
    inertia = np.array([[0, 8], [1, 0], [0, 0], [0, 12], [2**40, 4]])
    level = Level(C, -ones, ones, ones, ones, inertia, ones.astype(float))
    monkeypatch.setattr(tree_rows, "_MOST_VALUES", most)
    nodes = tree_rows.nodes_table([level], unit=0.5)
    assert nodes["centroid"].num_chunks == -(-5 // max(1, most // 4))
    assert nodes["centroid"].to_pylist() == (C / 2).tolist()
    assert nodes["inertia"].to_pylist() == [2.0, 2.0**24, 0.0, 3.0, 2.0**64 + 1]
    assert nodes["parent_id"].null_count == 5
