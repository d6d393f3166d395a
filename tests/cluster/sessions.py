"""Sessions with executors of their own: local-cluster from the pip package."""

import os
import sys
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from jobs.lake.config import SparkConfig
from jobs.lake.session import local_settings

MASTER = "local-cluster[2,1,1536]"
REPOSITORY = Path(__file__).resolve().parents[2]


def cluster_environment() -> dict[str, str]:
    """Give the environment that local-cluster needs: its executors start from SPARK_HOME."""
    return os.environ | {
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def cluster_settings() -> dict[str, str]:
    """Give Spark's settings for two executors of one core each."""
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
