"""Aggregates of rows, computed by an action that is run on them anyway."""

import uuid
from collections.abc import Callable
from typing import Any

from pyspark.sql import Column, DataFrame, Observation

from jobs.spark.classic import is_observed

Observed = Callable[[], dict[str, Any] | None]


def observed(rows: DataFrame, *figures: Column) -> tuple[DataFrame, Observed]:
    """Have aggregates computed by the next action on the rows.

    Returns
    -------
    rows : the same, observed
    get : returns the figures once the action has run; None if it never reached these rows, as when
        Delta skips a transaction that it has seen
    """
    observation = Observation(uuid.uuid4().hex)
    seen = rows.observe(observation, *figures)

    def get() -> dict[str, Any] | None:
        return (
            None
            if is_observed(rows.sparkSession, observation) is False
            else observation.get or None
        )

    return seen, get
