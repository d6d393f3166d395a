"""One curated root for the tests that start from one; tests that change it take a copy."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.jobs.tiny import write_curated


@pytest.fixture(scope="session")
def curated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a pool and of its root; a copy of the root serves the same pool."""
    return write_curated(spark, tmp_path_factory.mktemp("curated"))
