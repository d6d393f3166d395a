"""Sessions with separate executors: local-cluster from the pip package."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import SparkSession

from jobs.config.model import SparkConfig
from jobs.spark.session import local_settings

MASTER = "local-cluster[2,1,1536]"
REPOSITORY = Path(__file__).resolve().parents[2]


def cluster_environment() -> dict[str, str]:
    """Return the environment that local-cluster needs: its executors start from SPARK_HOME."""
    return os.environ | {
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def cluster_settings() -> dict[str, str]:
    """Return Spark's settings for two executors of one core each."""
    return local_settings(SparkConfig(driver_memory="2g", shuffle_partitions=2)) | {
        "spark.executor.memory": "1536m",
        "spark.default.parallelism": "2",
    }


def start_cluster() -> SparkSession:
    """Start a session on two executors."""
    os.environ.update(cluster_environment())
    builder = SparkSession.builder.master(MASTER).appName("evenlake-cluster-test")
    for key, value in cluster_settings().items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def figures_of(
    module: str, folder: Path, *, timeout: float, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a module that prints its figures as JSON, in its own process."""
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder)],
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
