"""The local session of the rivals on Spark."""

from pyspark.sql import SparkSession

from jobs.config.model import SparkConfig
from jobs.spark.session import start_local
from tests.benchmarks.machine import n_cores
from tests.benchmarks.tasks import Task


def start_session(task: Task) -> SparkSession:
    """Start a local session on the bench's cores."""
    return start_local(
        SparkConfig(
            master=f"local[{n_cores()}]",
            driver_memory=task.driver_memory,
            shuffle_partitions=2 * n_cores(),
        )
    )
