"""The ledger as one run sees it: what its stage keys went through, and what the run adds to it."""

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata

from jobs.config.errors import BusyError
from jobs.config.model import RunConfig, as_public_dict
from jobs.config.secrets import without_secrets
from jobs.runs.attempts import SECONDS, Attempt, at_work, expiry, is_open
from jobs.runs.events import (
    Event,
    Metrics,
    append_events,
    last_attempt,
    last_finished,
    read_events,
)
from jobs.tables.lake import Lake

log = logging.getLogger(__name__)

_POLL = 2.0  # seconds between looks at what another run is at
_MAX_NOTES = 10_000  # characters


class RunLedger:
    """What the ledger knows of a run's stage keys, and the run's own entries.

    Parameters
    ----------
    inputs : pool -> fingerprint
    """

    def __init__(
        self, lake: Lake, run_id: str, recipe: RunConfig, inputs: Mapping[str, str]
    ) -> None:
        self._lake = lake
        self._blank = Event(
            stage_key="", run_id=run_id, stage="", event="", at=datetime.now(UTC), attempt=1,
            config=json.dumps(as_public_dict(recipe)), inputs=inputs, code_version=code_version(),
        )  # fmt: skip
        self._events: dict[str, list[Event]] = {}

    def read(self, stage_keys: Collection[str]) -> None:
        """Learn what is known of some stage keys."""
        self._events |= {key: [] for key in stage_keys}
        for event in read_events(self._lake, stage_keys):
            self._events[event.stage_key].append(event)

    def _of(self, stage_key: str) -> list[Event]:
        """Return a stage key's events, oldest first."""
        if stage_key not in self._events:
            self.read([stage_key])
        return self._events[stage_key]

    def finished(self, stage_key: str) -> Metrics | None:
        """Return the figures of a finished stage key."""
        event = last_finished(self._of(stage_key))
        return None if event is None else dict(event.metrics)

    def incarnation(self, stage_key: str) -> int:
        """Count how often a stage key was cleaned."""
        return sum(event.event == "cleaned" for event in self._of(stage_key))

    def record(
        self,
        stage: str,
        stage_key: str,
        event: str,
        metrics: Metrics | None = None,
        *,
        notes: str | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> None:
        """Add an event; where an attempt ended well, unless a later one did before."""
        told = self._event(stage, stage_key, event, metrics or {}, notes, digests or {})
        transaction = f"{stage_key}/finished" if event == "finished" else None
        append_events(self._lake, [told], transaction=transaction, version=told.attempt)
        self._of(stage_key).append(told)
        log.info("stage=%s event=%s key=%s", stage, event, stage_key)

    def begin(
        self,
        stage: str,
        stage_key: str,
        *,
        since: datetime | None,
        waits: bool,
        say: Callable[[str], None],
    ) -> Attempt | None:
        """Win the next attempt at a stage; None where it is finished, by another run meanwhile too.

        Parameters
        ----------
        since : what finished earlier is cleaned and done again; None to take any result
        waits : for another process at the same stage, instead of an error
        say : is told whom it waits for

        Raises
        ------
        BusyError
        """
        while True:
            if since is not None or last_finished(self._of(stage_key)):
                self.read([stage_key])  # hours may have passed
            self._wait_for_others(stage, stage_key, waits, say)
            finished = last_finished(self._of(stage_key))
            if finished and (since is None or finished.at >= since):
                return None
            if since is not None:  # even where an attempt failed: its commits would not be repeated
                self.record(stage, stage_key, "cleaned")
            attempt = self._start(stage, stage_key)
            if attempt is not None:
                return attempt

    def _start(self, stage: str, stage_key: str) -> Attempt | None:
        """Start the next attempt; None where another was quicker."""
        number = last_attempt(self._of(stage_key)) + 1
        attempt = Attempt(self._lake, stage_key, number)
        try:
            lease = {SECONDS: float(self._lake.lease_seconds)}
            told = self._event(stage, stage_key, "started", lease, attempt.holder, {})
            append_events(self._lake, [told], transaction=f"{stage_key}/attempt", version=number)
            self.read([stage_key])  # who won, and what was cleaned meanwhile
        except BaseException:
            attempt.give_up()
            raise
        if not attempt.is_won(self._of(stage_key)):
            attempt.give_up()
            return None
        log.info("stage=%s event=started key=%s attempt=%d", stage, stage_key, number)
        return attempt

    def _wait_for_others(
        self, stage: str, stage_key: str, waits: bool, say: Callable[[str], None]
    ) -> None:
        """Wait until no other process is at a stage."""
        has_said = False
        while is_open(known := self._of(stage_key)):
            other = at_work(self._lake, known)
            if other is not None:
                until = f"{expiry(self._lake, other):%H:%M:%S} UTC"
                who = f"holder={other.notes} since={other.at:%H:%M:%S} lease_until={until}"
                if not waits:
                    raise BusyError(
                        f"{stage} is under way in another process ({who}); wait for it "
                        "(--if-running wait), or stop it: its lease is over at the time given"
                    )
                if not has_said:
                    say(f"waiting for another process: {who}")
                has_said = True
                time.sleep(_POLL)
            self.read([stage_key])
            if other is None and self._of(stage_key) == known:
                return  # gone, and it has told of no end before it went

    def _event(
        self,
        stage: str,
        stage_key: str,
        event: str,
        metrics: Metrics,
        notes: str | None,
        digests: Mapping[str, str],
    ) -> Event:
        number = last_attempt(self._of(stage_key))
        return replace(
            self._blank,
            stage_key=stage_key,
            stage=stage,
            event=event,
            at=datetime.now(UTC),
            attempt=number + 1 if event == "started" else max(1, number),
            metrics={name: float(value) for name, value in metrics.items()},
            notes=without_secrets(notes)[:_MAX_NOTES] if notes else None,
            digests=dict(digests),
        )


def code_version() -> str:
    """Return the installed distribution's version, or say that there is none."""
    try:
        return metadata.version("evenlake")
    except metadata.PackageNotFoundError:
        return "0.1.0"
