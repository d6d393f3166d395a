"""A pool larger than the memory of any process that curates it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.memory import N_FEATURES, N_POINTS

REPOSITORY = Path(__file__).resolve().parents[2]
VECTORS = 4 * N_POINTS * N_FEATURES


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_a_pool_larger_than_memory_is_curated(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.memory", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=850,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["n_sampled"] == 5000
    assert figures["peaks"]["worker"] < VECTORS
    assert figures["peaks"]["driver"] < VECTORS
