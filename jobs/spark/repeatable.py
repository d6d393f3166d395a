"""A run's input has to be the same at every read."""

from pyspark.sql import DataFrame

from jobs.config.errors import InputError
from jobs.spark.classic import plan_facts


def require_repeatable(rows: DataFrame, key: str) -> None:
    """Reject rows that differ between reads, if the session can tell: some would be lost.

    Raises
    ------
    InputError
    """
    facts = plan_facts(rows)
    if facts is None:
        return
    if not facts.is_deterministic:
        raise InputError(
            f"{key} gives other rows at every read; want columns, and functions of columns alone: "
            "write its outcome into the pool first"
        )
    if not facts.is_timeless:
        raise InputError(
            f"{key} gives other rows at another time or to another user; want no current_date() or "
            "the like: write the date out, such as DATE'2026-01-31'"
        )
