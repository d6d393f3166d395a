"""Figures of rows, taken while something else is done with them."""

import time
import uuid
from collections.abc import Callable
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession

_PATIENCE = 5.0  # seconds: a session tells of a query shortly after it has ended
_POLL = 0.005

Observed = Callable[[], dict[str, Any] | None]


def observed(rows: DataFrame, *figures: Column) -> tuple[DataFrame, Observed]:
    """Have aggregates computed by the next action on the rows.

    Returns
    -------
    rows : the same, observed
    get : returns the figures once the action is over; None where it never came to these rows, as
        when Delta skips a transaction that it has seen
    """
    observation = Observation(uuid.uuid4().hex)
    seen = rows.observe(observation, *figures)

    def get() -> dict[str, Any] | None:
        classic = getattr(observation, "_jo", None)
        if classic is not None and not _is_told(rows.sparkSession, classic):
            return None
        return observation.get or None

    return seen, get


def _is_told(spark: SparkSession, observation: Any) -> bool:
    """Wait for the listener that completes an observation of a classic session."""
    until = time.monotonic() + _PATIENCE
    has_heard_all = False
    while not observation.future().isCompleted():
        if has_heard_all or time.monotonic() > until:
            return False
        has_heard_all = _hears_all(spark, until - time.monotonic())
        time.sleep(0 if has_heard_all else _POLL)
    return True


def _hears_all(spark: SparkSession, seconds: float) -> bool:
    """Wait until listeners have heard of all that has ended; False where that cannot be told."""
    try:
        bus = spark.sparkContext._jsc.sc().listenerBus()
        bus.waitUntilEmpty(int(1000 * seconds))
    except Exception:  # not every platform lets Python call it, and a busy bus is never empty
        return False
    return True
