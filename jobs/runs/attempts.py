"""Attempts: one process at a time works on a stage key, and tells so until its attempt is over.

The ``started`` event of attempt n is a transaction of number n, so of all who begin it, one does.
It is a lease: it holds for ``output.lease_seconds``, for longer where its holder renews it in the
table ``leases``, and until the event that ends it. On a local file system it is over, too, once
the holder's process is gone.

A holder that stood still and wakes after its lease has expired finds out before its next commit.
A commit that it was in the middle of can do no harm: all who work on a stage key write the same
rows, and the later one is skipped as the same transaction.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyspark.sql import functions as F

from jobs.config.errors import LeaseLostError
from jobs.runs.events import Event, last_attempt, read_events
from jobs.tables.lake import Lake
from jobs.tables.locks import Presence, is_gone

log = logging.getLogger(__name__)

TABLE = "leases"
SECONDS = "lease_seconds"  # the figure of a started event
_BEATS = 3  # renewals within a lease
_ENDS = ("finished", "failed", "cleaned")


class Attempt:
    """A lease on a stage key, for its holder.

    Parameters
    ----------
    number : of the attempt at the stage key, from 1
    """

    def __init__(self, lake: Lake, stage_key: str, number: int) -> None:
        self.lake, self.stage_key, self.number = lake, stage_key, number
        self._token = uuid.uuid4().hex[:8]
        self.holder = f"{socket.gethostname()}/{os.getpid()}/{self._token}"
        self._presence = Presence(lake.local_folder, self._token)
        self._expires = time.time() + lake.lease_seconds
        self._n_beats = 0
        self._over, self._mutex = threading.Event(), threading.Lock()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def is_won(self, events: Sequence[Event]) -> bool:
        """Tell from the stage key's events whether the attempt is this holder's."""
        return any(
            e.event == "started" and e.attempt == self.number and e.notes == self.holder
            for e in events
        )

    def require(self) -> None:
        """See that the lease is still held; to be called before every commit.

        Raises
        ------
        LeaseLostError
            If it expired and another took the stage up, or what it had written was cleaned.
        """
        if time.time() >= self._expires:
            self._renew()

    def give_up(self) -> None:
        """End what a lost race had begun."""
        self._presence.end()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Renew the lease while the work goes on, and end it with the work."""
        self._heart.start()
        try:
            yield
        finally:
            self._over.set()
            self._heart.join()
            self._presence.end()
        try:
            self._forget_renewals()
        except Exception as error:  # the work is done, and told
            log.warning("key=%s its renewals stay: %s", self.stage_key, error)

    def _beat(self) -> None:
        with suppress(Exception):  # where the session has pools, not behind the stage's own tasks
            self.lake.spark.sparkContext.setLocalProperty("spark.scheduler.pool", "leases")
        while not self._over.wait(self.lake.lease_seconds / _BEATS):
            try:
                self._renew()
            except LeaseLostError:
                return  # told when the stage next commits
            except Exception as error:  # the store may come back before the lease is over
                log.warning("key=%s lease not renewed: %s", self.stage_key, error)

    def _forget_renewals(self) -> None:
        """Delete the row of renewals, its own or of one whose process is gone."""
        if self._n_beats or (self.number > 1 and self.lake.exists(TABLE)):
            self.lake.remove(TABLE, [self.stage_key])

    def _refuse_if_lost(self) -> None:
        events = read_events(self.lake, [self.stage_key])
        if not (self.is_won(events) and last_attempt(events) == self.number and is_open(events)):
            raise LeaseLostError(
                f"attempt {self.number} at stage key {self.stage_key} stood still for longer than "
                f"its lease of {self.lake.lease_seconds:g} s, and another process took over; it "
                "changes nothing more: run the same command again for the result"
            )

    def _renew(self) -> None:
        """Have the lease last from now on; once it has expired, only if nobody took it."""
        with self._mutex:
            if time.time() >= self._expires:
                self._refuse_if_lost()
            self._n_beats += 1
            expires = time.time() + self.lake.lease_seconds
            at = pa.array([datetime.fromtimestamp(expires, UTC)], pa.timestamp("us", tz="UTC"))
            epoch = pa.array([self.number], pa.int64())
            row = pa.table({"holder": [self.holder], "epoch": epoch, "expires": at})
            self.lake.replace(
                TABLE, self.lake.spark.createDataFrame(row), self.stage_key,
                transaction=f"lease/{self.number}", version=self._n_beats,
            )  # fmt: skip
            self._expires = expires


def is_open(events: Sequence[Event]) -> bool:
    """Tell whether the last attempt has neither ended nor been cleaned away.

    Parameters
    ----------
    events : of one stage key, oldest first
    """
    number = last_attempt(events)
    began = [i for i, e in enumerate(events) if e.event == "started" and e.attempt == number]
    return bool(began) and not any(
        e.event in _ENDS and e.attempt >= number for e in events[began[0] :]
    )


def at_work(lake: Lake, events: Sequence[Event]) -> Event | None:
    """Return the ``started`` event of the attempt that is under way; None where none is.

    Its holder may have ended it since the events were read: read them again before believing that
    a holder is gone.
    """
    if not is_open(events):
        return None
    last = next(e for e in reversed(events) if e.event == "started")
    token = (last.notes or "").rpartition("/")[2]
    if token and is_gone(lake.local_folder, token):
        return None
    return last if datetime.now(UTC) < expiry(lake, last) else None


def expiry(lake: Lake, started: Event) -> datetime:
    """Say when an attempt's lease ends, renewals counted."""
    until = started.at + timedelta(seconds=started.metrics.get(SECONDS, 0.0))
    if datetime.now(UTC) < until or not lake.exists(TABLE):
        return until
    mine = lake.read(TABLE, started.stage_key).where(F.col("epoch") == started.attempt)
    renewed = mine.select(F.max(F.unix_micros("expires")).alias("until")).collect()[0].until
    return datetime.fromtimestamp(renewed / 1e6, UTC) if renewed else until
