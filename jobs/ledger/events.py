"""The ledger's events: what happened to a stage key, as append-only rows of ``runs``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from jobs.tables.table import Table

Figures = dict[str, float]

RUNS = Table(
    "runs",
    "run_id STRING, stage STRING, event STRING, at TIMESTAMP, attempt INT, config STRING, "
    "inputs MAP<STRING,STRING>, metrics MAP<STRING,DOUBLE>, notes STRING, "
    "digests MAP<STRING,STRING>, code_version STRING, stages STRING DEFAULT NULL",
)
LEASES = Table("leases", "holder STRING, epoch BIGINT, expires TIMESTAMP")
ENDS = ("finished", "failed", "cleaned")


@dataclass(frozen=True)
class Event:
    """One row of ``runs``.

    Attributes
    ----------
    at : time of the event, in UTC
    attempt : counted per stage key, from 1
    stages : names of the run's stages; empty in ledgers that predate this column
    """

    stage_key: str
    run_id: str
    stage: str
    event: str
    at: datetime
    attempt: int
    config: str
    inputs: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    code_version: str = ""
    stages: tuple[str, ...] = ()


class Presence(Protocol):
    """A liveness lock: it shows that a holder's process is alive."""

    def end(self) -> None:
        """Release it."""


class EventStore(Protocol):
    """Where events are kept, and the leases of running attempts.

    There are two: ``jobs.ledger.delta_store``, and an in-memory one for tests.
    """

    lease_seconds: float

    def read(self, stage_keys: Collection[str] | None = None) -> list[Event]:
        """Return the events of some stage keys, or of all of them, oldest first."""

    def read_if_few(self, limit: int) -> list[Event] | None:
        """Return all events, without their configs, oldest first; None if more than ``limit``."""

    def version(self) -> int | None:
        """Return a number that rises by one with every commit; None if it is not known."""

    def append(
        self, events: Sequence[Event], *, transaction: str | None = None, version: int = 0
    ) -> bool:
        """Add events in one commit, unless the transaction has already reached that version.

        Returns
        -------
        is_added : whether this commit added them; also False if the store cannot tell
        """

    def renew(self, stage_key: str, holder: str, epoch: int, beat: int, expires: datetime) -> None:
        """Extend a lease to ``expires``; ``beat`` counts one holder's renewals."""

    def renewed_until(self, stage_key: str, epoch: int) -> datetime | None:
        """Return when an attempt's last renewal expires; None if it has none."""

    def forget_renewals(self, stage_key: str) -> None:
        """Delete a stage key's renewals."""

    def presence(self, token: str) -> Presence:
        """Take a liveness lock for a holder's process."""

    def is_gone(self, token: str) -> bool:
        """Return whether a holder's process is known to be gone."""


def last_attempt(events: Sequence[Event]) -> int:
    """Return the number of a stage key's last attempt; 0 if there is none."""
    return max((e.attempt for e in events if e.event == "started"), default=0)


def last_finished(events: Sequence[Event]) -> Event | None:
    """Return the event that finished a stage key, unless it was cleaned since that attempt began.

    Late events of an earlier attempt change nothing.

    Parameters
    ----------
    events : events of one stage key, oldest first
    """
    finished = [e for e in events if e.event == "finished"]
    if not finished:
        return None
    last = max(finished, key=lambda e: e.attempt)
    began = [i for i, e in enumerate(events) if e.attempt == last.attempt and e.event == "started"]
    since = events[began[-1] :] if began else events[events.index(last) :]
    return None if any(e.event == "cleaned" and e.attempt >= last.attempt for e in since) else last


def is_open(events: Sequence[Event]) -> bool:
    """Return whether the last attempt has neither ended nor been cleaned.

    Parameters
    ----------
    events : events of one stage key, oldest first
    """
    number = last_attempt(events)
    began = [i for i, e in enumerate(events) if e.event == "started" and e.attempt == number]
    return bool(began) and not any(
        e.event in ENDS and e.attempt >= number for e in events[began[0] :]
    )
