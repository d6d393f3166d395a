"""The ledger's events: what happened to a stage key, as rows of ``runs`` that are only added."""

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
    at : in UTC
    attempt : the stage key's, from 1
    stages : the stages that the run has, by name; none in ledgers of before it was kept
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
    """The sign that a holder's process lives."""

    def end(self) -> None:
        """Take it away."""


class EventStore(Protocol):
    """Where events are kept, and the leases of those who are at work.

    Two stores tell the same story: ``jobs.ledger.delta_store``, and one in memory for tests.
    """

    lease_seconds: float

    def read(self, stage_keys: Collection[str] | None = None) -> list[Event]:
        """Return the events of some stage keys, or of all, oldest first."""

    def read_if_few(self, limit: int) -> list[Event] | None:
        """Return all events, without their configs, oldest first; None where they are more."""

    def version(self) -> int | None:
        """Return a number that rises by one with every commit; None where that is not known."""

    def append(
        self, events: Sequence[Event], *, transaction: str | None = None, version: int = 0
    ) -> bool:
        """Add events in one commit, unless the transaction has got that far.

        Returns
        -------
        is_told : whether they are there by this commit; False also where the store cannot say
        """

    def renew(self, stage_key: str, holder: str, epoch: int, beat: int, expires: datetime) -> None:
        """Let a lease last until then; ``beat`` counts the renewals of one holder."""

    def renewed_until(self, stage_key: str, epoch: int) -> datetime | None:
        """Return when the last renewal of an attempt ends; None where it has none."""

    def forget_renewals(self, stage_key: str) -> None:
        """Delete a stage key's renewals."""

    def presence(self, token: str) -> Presence:
        """Show that the process of a holder lives."""

    def is_gone(self, token: str) -> bool:
        """Tell whether the process of a holder is known to have ended."""


def last_attempt(events: Sequence[Event]) -> int:
    """Return the number of a stage key's last attempt; 0 for none."""
    return max((e.attempt for e in events if e.event == "started"), default=0)


def last_finished(events: Sequence[Event]) -> Event | None:
    """Return the event that finished a stage key, unless it was cleaned since that attempt began.

    What an earlier attempt tells late changes nothing.

    Parameters
    ----------
    events : of one stage key, oldest first
    """
    finished = [e for e in events if e.event == "finished"]
    if not finished:
        return None
    last = max(finished, key=lambda e: e.attempt)
    began = [i for i, e in enumerate(events) if e.attempt == last.attempt and e.event == "started"]
    since = events[began[-1] :] if began else events[events.index(last) :]
    return None if any(e.event == "cleaned" and e.attempt >= last.attempt for e in since) else last


def is_open(events: Sequence[Event]) -> bool:
    """Tell whether the last attempt has neither ended nor been cleaned away.

    Parameters
    ----------
    events : of one stage key, oldest first
    """
    number = last_attempt(events)
    began = [i for i, e in enumerate(events) if e.event == "started" and e.attempt == number]
    return bool(began) and not any(
        e.event in ENDS and e.attempt >= number for e in events[began[0] :]
    )
