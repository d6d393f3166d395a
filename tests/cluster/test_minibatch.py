"""Mini-batches on executors: the whole method at both levels, and how good its tree is."""

from pathlib import Path

import pytest

from tests.cluster.sessions import cluster_environment, figures_of


@pytest.mark.cluster
@pytest.mark.timeout(1500)
def test_minibatches_on_two_executors_keep_the_trees_quality(tmp_path: Path) -> None:
    figures = figures_of(
        "tests.cluster.minibatch", tmp_path, timeout=1400, env=cluster_environment()
    )
    assert figures["spark_minibatches"].keys() == {"1"}
    assert figures["minibatches"].keys() == {"1", "2"}
    # level 2 has five inputs per cluster, so its only batch is all of them
    assert figures["inertia"]["1"] <= 1.02 * figures["lloyd_inertia"]["1"]
    assert figures["kl"] <= 0.040
