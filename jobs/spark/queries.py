"""How queries are planned: for few rows, compiling a plan takes longer than running it.

The digits run takes a quarter less time without code generation and adaptive plans. Large pools
keep Spark's defaults.
"""

import contextlib
from collections.abc import Iterator

from pyspark.sql import SparkSession

from jobs.spark.settings import setting

MARK = "spark.evenlake.quickQueries"  # marks a session that Evenlake started itself
QUICK = {
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.adaptive.enabled": "false",
}
_FULL = {
    "spark.sql.codegen.factoryMode": "FALLBACK",
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.adaptive.enabled": "true",
}


@contextlib.contextmanager
def planned_for(spark: SparkSession, *, is_small: bool) -> Iterator[None]:
    """Plan queries for a pool of this size; a user's own session is left alone."""
    if is_small or not is_ours(spark):
        yield
        return
    for key, value in _FULL.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, value in QUICK.items():
            spark.conf.set(key, value)


def is_ours(spark: SparkSession) -> bool:
    """Return whether Evenlake started the session itself."""
    return setting(spark, MARK) == "true"
