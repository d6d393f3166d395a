"""Attempts: one process at a time works on a stage key, holding a lease on it.

The ``started`` event of attempt n is transaction number n, so if several processes try to start
it, exactly one succeeds. It is a lease: it holds for ``output.lease_seconds``, for longer if its
holder renews it in the table ``leases``, or until the event that ends the attempt. On a local file
system it also ends when the holder's process dies.

A holder that stalls past its lease finds out before its next commit. A commit already in flight
does no harm: every process working on a stage key writes the same rows, and the later commit is
skipped as a repeat of the same transaction.
"""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

from jobs.config.errors import LeaseLostError, StartLostError
from jobs.ledger.clock import Clock
from jobs.ledger.events import Event, EventStore, is_open, last_attempt

log = logging.getLogger(__name__)

SECONDS = "lease_seconds"  # a figure of the started event
_BEATS = 3  # renewals per lease


class Attempt:
    """A lease on a stage key, as its holder sees it.

    Parameters
    ----------
    number : the attempt's number at this stage key, from 1
    """

    def __init__(self, store: EventStore, stage_key: str, number: int, clock: Clock) -> None:
        self.stage_key, self.number = stage_key, number
        self._store, self._clock = store, clock
        token = uuid.uuid4().hex[:8]
        self.holder = f"{socket.gethostname()}/{os.getpid()}/{token}"
        self._liveness = store.presence(token)
        self._lease = timedelta(seconds=store.lease_seconds)
        self._expires = clock.now() + self._lease
        self._n_beats = 0
        self._start: Future[bool] | None = None
        self._over, self._mutex = threading.Event(), threading.Lock()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def is_won(self, events: Sequence[Event]) -> bool:
        """Return whether the stage key's events show this holder as the attempt's owner."""
        return any(
            e.event == "started" and e.attempt == self.number and e.notes == self.holder
            for e in events
        )

    def starts_with(self, start: Callable[[], bool]) -> None:
        """Record the start in the background while the work begins.

        Parameters
        ----------
        start : records it, and returns whether this holder won the attempt
        """
        thread = ThreadPoolExecutor(1, "start")
        self._start = thread.submit(start)
        thread.shutdown(wait=False)

    def require(self) -> None:
        """Make sure that the lease is still held; call it before every commit.

        Raises
        ------
        StartLostError
            If the start was recorded in the background, and another process was quicker.
        LeaseLostError
            If it expired and another process took over the stage, or its output was cleaned.
        """
        if self._start is not None and not self._start.result():
            raise StartLostError(f"another process has started at stage key {self.stage_key}")
        if self._clock.now() >= self._expires:
            self._renew()

    def begin(self) -> None:
        """Keep renewing the lease from now on, in the background."""
        self._heart.start()

    def end(self) -> None:
        """End the lease, because the work is over or another process won the start."""
        self._over.set()
        if self._heart.is_alive():
            self._heart.join()
        self._liveness.end()

    def forget_renewals(self) -> None:
        """Delete the renewals row, whether its own or a dead process's."""
        if self._n_beats or self.number > 1:
            self._store.forget_renewals(self.stage_key)

    def _beat(self) -> None:
        while not self._clock.wait(self._over, self._store.lease_seconds / _BEATS):
            try:
                self._renew()
            except LeaseLostError:
                return  # reported when the stage next commits
            except Exception as error:  # the store may recover before the lease expires
                log.warning("key=%s lease not renewed: %s", self.stage_key, error)

    def _refuse_if_lost(self) -> None:
        events = self._store.read([self.stage_key])
        if not (self.is_won(events) and last_attempt(events) == self.number and is_open(events)):
            raise LeaseLostError(
                f"attempt {self.number} at stage key {self.stage_key} stood still for longer than "
                f"its lease of {self._store.lease_seconds:g} s, and another process took over; it "
                "changes nothing more: run the same command again for the result"
            )

    def _renew(self) -> None:
        """Extend the lease from now; if it has expired, only if nobody has taken it."""
        with self._mutex:
            if self._clock.now() >= self._expires:
                self._refuse_if_lost()
            self._n_beats += 1
            expires = self._clock.now() + self._lease
            self._store.renew(self.stage_key, self.holder, self.number, self._n_beats, expires)
            self._expires = expires


def at_work(store: EventStore, events: Sequence[Event], now: datetime) -> Event | None:
    """Return the ``started`` event of the attempt under way, or None.

    Its holder may have ended it since the events were read: read them again before concluding that
    a holder is gone.
    """
    if not is_open(events):
        return None
    last = next(e for e in reversed(events) if e.event == "started")
    token = (last.notes or "").rpartition("/")[2]
    if token and store.is_gone(token):
        return None
    return last if now < expiry(store, last, now) else None


def expiry(store: EventStore, started: Event, now: datetime) -> datetime:
    """Return when an attempt's lease ends, renewals included."""
    until = started.at + timedelta(seconds=started.metrics.get(SECONDS, 0.0))
    if now < until:
        return until
    return store.renewed_until(started.stage_key, started.attempt) or until
