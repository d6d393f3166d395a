"""Mini-batches on executors: the whole method at both levels, and how good its tree is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.sessions import cluster_environment

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.cluster
@pytest.mark.timeout(1500)
def test_minibatches_on_two_executors_keep_the_trees_quality(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.minibatch", str(tmp_path)],
        cwd=REPOSITORY,
        env=cluster_environment(),
        capture_output=True,
        text=True,
        timeout=1400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["spark_minibatches"].keys() == {"1"}
    assert min(figures["minibatches"].values()) >= 5
    # level 2 has five inputs a cluster: what its batches leave undone, breathing does after them
    assert figures["inertia"]["1"] <= 1.02 * figures["lloyd_inertia"]["1"]
    assert figures["kl"] <= 0.040
