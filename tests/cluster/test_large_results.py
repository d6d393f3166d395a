"""Leaves and sums too large to send whole: by other routes, to the same bytes."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.cluster.sessions import cluster_environment, figures_of
from tests.jobs.determinism import curated_bytes, tied_pool, write_files


@pytest.mark.cluster
@pytest.mark.timeout(600)
def test_what_is_too_large_to_go_whole_changes_nothing(spark: SparkSession, tmp_path: Path) -> None:
    write_files(tied_pool(3), tmp_path / "pool", 7, seed=7)
    found = figures_of(
        "tests.cluster.large_results", tmp_path, timeout=500, env=cluster_environment()
    )
    for split, digests in found.items():
        lake = tmp_path / f"expected-{split}"
        assert digests == curated_bytes(spark, tmp_path / "pool", lake, "local", split)
