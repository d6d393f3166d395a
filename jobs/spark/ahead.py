"""What a commit will ask for, looked up in the background before.

For a commit that is a transaction, Delta reads from a table's log which transactions it has seen: a
Spark job of a tenth to half of a second, for every table that is there already.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pyspark.sql import SparkSession

from jobs.spark.classic import load_transactions
from jobs.spark.queries import is_ours

_BEHIND = ThreadPoolExecutor(1, "transactions")


def look_ahead(spark: SparkSession, paths: Sequence[str]) -> None:
    """Have the transactions of the tables at some paths looked up, in a session of our own."""
    if paths and is_ours(spark):
        for path in paths:
            _BEHIND.submit(load_transactions, spark, path)
