"""A pool larger than the memory of any process that curates it."""

from pathlib import Path

import pytest

from tests.cluster.memory import N_FEATURES, N_POINTS
from tests.cluster.sessions import figures_of

VECTORS = 4 * N_POINTS * N_FEATURES


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_a_pool_larger_than_memory_is_curated(tmp_path: Path) -> None:
    figures = figures_of("tests.cluster.memory", tmp_path, timeout=850)
    assert figures["n_sampled"] == 5000
    assert figures["peaks"]["worker"] < VECTORS
    assert figures["peaks"]["driver"] < VECTORS
