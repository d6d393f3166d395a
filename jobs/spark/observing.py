"""Figures of rows, taken while something else is done with them."""

import time
import uuid
from collections.abc import Callable
from typing import Any

from pyspark.sql import Column, DataFrame, Observation

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
        if classic is not None and not _is_told(classic):
            return None
        return observation.get or None

    return seen, get


def _is_told(observation: Any) -> bool:
    """Wait for the listener that completes an observation of a classic session."""
    until = time.monotonic() + _PATIENCE
    while not observation.future().isCompleted():
        if time.monotonic() > until:
            return False
        time.sleep(_POLL)
    return True
