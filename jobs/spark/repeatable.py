"""What a run reads has to be the same at every read."""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.utils import is_remote

from jobs.config.errors import InputError


def require_repeatable(rows: DataFrame, key: str) -> None:
    """Refuse what is another at every read, where the session can tell: rows would be lost.

    Raises
    ------
    InputError
    """
    if is_remote():
        return
    plan = rows._jdf.queryExecution().analyzed()
    if not plan.deterministic():
        raise InputError(
            f"{key} gives other rows at every read; want columns, and functions of columns alone: "
            "write its outcome into the pool first"
        )
    jvm: Any = rows.sparkSession._jvm
    patterns = jvm.org.apache.spark.sql.catalyst.trees.TreePattern
    if plan.containsPattern(patterns.CURRENT_LIKE()):
        raise InputError(
            f"{key} gives other rows at another time or to another user; want no current_date() or "
            "the like: write the date out, such as DATE'2026-01-31'"
        )
