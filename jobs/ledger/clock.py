"""The time of day and waiting, so that tests need not wait."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time, as attempts and the ledger see it."""

    def now(self) -> datetime:
        """Return the time, in UTC."""

    def wait(self, over: threading.Event, seconds: float) -> bool:
        """Wait that long, or until the event is set; return whether it is."""


class SystemClock:
    """The system clock."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.fromtimestamp(time.time(), UTC)

    def wait(self, over: threading.Event, seconds: float) -> bool:
        """Wait that long, or until the event is set; return whether it is."""
        return over.wait(seconds)
