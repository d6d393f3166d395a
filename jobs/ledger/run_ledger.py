"""The ledger as one run sees it: the history of its stage keys, and what the run adds to it.

Consecutive events share a commit if they can: while the run is ``merging``, the end of a stage
waits for the start of the next.
"""

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial

from jobs.config.errors import BusyError
from jobs.config.model import RunConfig, as_public_dict
from jobs.config.secrets import without_secrets
from jobs.config.version import code_version
from jobs.ledger.attempts import SECONDS, Attempt, at_work, expiry
from jobs.ledger.clock import Clock, SystemClock
from jobs.ledger.events import Event, EventStore, Figures, is_open, last_attempt, last_finished
from jobs.ledger.known_events import KnownEvents
from jobs.ledger.pending import Pending, nothing

log = logging.getLogger(__name__)

_POLL = 2.0  # seconds between checks on another run
_MAX_NOTES = 10_000  # characters


class RunLedger:
    """What the ledger says about a run's stage keys, and the run's own entries."""

    def __init__(
        self,
        store: EventStore,
        run_id: str,
        written: RunConfig,
        inputs: Mapping[str, str],
        stages: Sequence[str],
        clock: Clock | None = None,
    ) -> None:
        self._store, self._clock = store, clock or SystemClock()
        self._blank = Event(
            stage_key="", run_id=run_id, stage="", event="", at=self._clock.now(), attempt=1,
            config=json.dumps(as_public_dict(written)), inputs=inputs,
            code_version=code_version(), stages=tuple(stages),
        )  # fmt: skip
        self._known = KnownEvents(store)
        self._pending: list[Pending] = []
        self._is_merging = False

    def open(self, stage_keys: Collection[str]) -> list[Event] | None:
        """Read the events of some stage keys; return the whole ledger if it is small."""
        return self._known.open(stage_keys)

    def read(self, stage_keys: Collection[str]) -> None:
        """Bring the events of some stage keys up to date; reads nothing if nothing has changed."""
        if not self._known.is_current(stage_keys):
            self.flush()
            self._known.read(stage_keys)

    def _of(self, stage_key: str) -> list[Event]:
        """Return a stage key's events, oldest first."""
        if not self._known.looks_up(stage_key):
            self.read([stage_key])
        return self._known.events[stage_key]

    def finished(self, stage_key: str) -> Event | None:
        """Return the event that finished a stage key."""
        return last_finished(self._of(stage_key))

    def figures(self, stage_key: str) -> Figures | None:
        """Return the figures of a finished stage key."""
        event = self.finished(stage_key)
        return None if event is None else dict(event.metrics)

    def incarnation(self, stage_key: str) -> int:
        """Count how often a stage key was cleaned."""
        return sum(event.event == "cleaned" for event in self._of(stage_key))

    def last_cleaned(self, stage_key: str) -> int:
        """Return the last attempt that was cleaned; 0 if none was."""
        cleaned = (e.attempt for e in self._of(stage_key) if e.event == "cleaned")
        return max(cleaned, default=0)

    @contextmanager
    def merging(self) -> Iterator[None]:
        """Hold back the end of each stage, to commit it together with the start of the next."""
        self._is_merging = True
        try:
            yield
        except BaseException:
            self._is_merging = False
            try:
                self.flush()
            except Exception as error:  # most likely on the same disk
                log.warning("end of a stage not recorded: %s", error)
            raise
        self._is_merging = False
        self.flush()

    def record(
        self,
        stage: str,
        stage_key: str,
        event: str,
        metrics: Figures | None = None,
        *,
        notes: str | None = None,
        digests: Mapping[str, str] | None = None,
        then: Callable[[], None] = nothing,
        otherwise: Callable[[], None] = nothing,
    ) -> None:
        """Add an event; the end of a stage, or its reuse, may wait for the event that follows.

        Parameters
        ----------
        then : called once the event is in the store
        otherwise : called if it could not be stored
        """
        entry = self._event(stage, stage_key, event, metrics or {}, notes, digests or {})
        self._of(stage_key).append(entry)
        self._pending.append(Pending(entry, then, otherwise))
        if not (self._is_merging and event in ("finished", "reused")):
            self.flush()

    def flush(self) -> None:
        """Add the waiting events in one commit; if it fails while merging, they are kept for later.

        A lone ``finished`` event is a transaction of its attempt's number, so that it never
        overrides the end of a later attempt.
        """
        waiting = self._pending
        if not waiting:
            return
        first = waiting[0].event
        is_an_end = len(waiting) == 1 and first.event == "finished"
        try:
            self._known.append(
                [p.event for p in waiting],
                transaction=f"{first.stage_key}/finished" if is_an_end else None,
                version=first.attempt if is_an_end else 0,
            )
        except BaseException:
            if not self._is_merging:
                self._give_up(waiting)
            raise
        self._pending = []
        self._done(waiting)

    def _give_up(self, unstored: Sequence[Pending]) -> None:
        """Drop events that could not be stored, as if they had not happened."""
        self._pending = []
        for pending in unstored:
            mine = self._known.events[pending.event.stage_key]
            mine[:] = [event for event in mine if event is not pending.event]
            pending.otherwise()

    def _done(self, stored: Sequence[Pending]) -> None:
        for pending in stored:
            e = pending.event
            log.info("stage=%s event=%s key=%s", e.stage, e.event, e.stage_key)
        for pending in stored:
            pending.then()

    def begin(
        self,
        stage: str,
        stage_key: str,
        *,
        since: datetime | None,
        waits: bool,
        say: Callable[[str], None],
    ) -> Attempt | None:
        """Win the next attempt at a stage; None if it has finished, perhaps in another run.

        Parameters
        ----------
        since : anything finished earlier is cleaned and done again; None to take any result
        waits : whether to wait for another process at the same stage, or raise
        say : receives a message naming the process it waits for

        Raises
        ------
        BusyError
        """
        while True:
            if since is not None or last_finished(self._of(stage_key)):
                self.read([stage_key])  # the wait may have taken hours
            self._wait_for_others(stage, stage_key, waits, say)
            finished = last_finished(self._of(stage_key))
            if finished and (since is None or finished.at >= since):
                return None
            if since is not None:  # even after a failure: its commits would be skipped
                self.record(stage, stage_key, "cleaned")
            attempt = self._start(stage, stage_key, is_redone=since is not None)
            if attempt is not None:
                return attempt

    def _start(self, stage: str, stage_key: str, *, is_redone: bool) -> Attempt | None:
        """Start the next attempt; None if another process was quicker.

        Work on a new stage key may begin while its start is being recorded; it waits for that
        before its first commit.
        """
        number = last_attempt(self._of(stage_key)) + 1
        is_new = not self._of(stage_key) and not is_redone
        attempt = Attempt(self._store, stage_key, number, self._clock)
        start = partial(self._record_start, stage, stage_key, attempt)
        if self._is_merging and is_new:
            attempt.starts_with(start)
            return attempt
        try:
            is_won = start()
        except BaseException:
            attempt.end()
            raise
        if not is_won:
            attempt.end()
        return attempt if is_won else None

    def _record_start(self, stage: str, stage_key: str, attempt: Attempt) -> bool:
        """Record a start and all waiting events; return whether this run won the attempt."""
        lease = {SECONDS: float(self._store.lease_seconds)}
        entry = self._event(stage, stage_key, "started", lease, attempt.holder, {})
        waiting = self._pending
        is_added = self._known.append(
            [*(p.event for p in waiting), entry],
            transaction=f"{stage_key}/attempt", version=attempt.number,
        )  # fmt: skip
        if is_added:
            self._pending = []
            self._known.events[stage_key].append(entry)
            self._done([*waiting, Pending(entry)])
        # find out who won, and what was cleaned meanwhile
        if not (is_added and self._known.is_current()):
            self._check_start(waiting, stage_key, attempt)
        return attempt.is_won(self._of(stage_key))

    def _check_start(self, waiting: Sequence[Pending], stage_key: str, attempt: Attempt) -> None:
        """Reread the stage key to see how a start went; flush what should have gone with it."""
        self._known.read_again(stage_key)
        if self._pending and attempt.is_won(self._of(stage_key)):
            self._pending = []
            self._done(waiting)
        self.flush()

    def _wait_for_others(
        self, stage: str, stage_key: str, waits: bool, say: Callable[[str], None]
    ) -> None:
        """Wait until no other process is working on a stage."""
        has_said = False
        while is_open(known := self._of(stage_key)):
            now = self._clock.now()
            other = at_work(self._store, known, now)
            if other is not None:
                self.flush()  # the wait may take hours
                until = f"{expiry(self._store, other, now):%H:%M:%S} UTC"
                who = f"holder={other.notes} since={other.at:%H:%M:%S} lease_until={until}"
                if not waits:
                    raise BusyError(
                        f"{stage} is under way in another process ({who}); wait for it "
                        "(--if-running wait), or stop it: its lease is over at the time given"
                    )
                if not has_said:
                    say(f"waiting for another process: {who}")
                has_said = True
                self._clock.wait(threading.Event(), _POLL)
            self.read([stage_key])
            if other is None and self._of(stage_key) == known:
                return  # gone without recording an end

    def _event(
        self,
        stage: str,
        stage_key: str,
        event: str,
        metrics: Figures,
        notes: str | None,
        digests: Mapping[str, str],
    ) -> Event:
        number = last_attempt(self._of(stage_key))
        return replace(
            self._blank,
            stage_key=stage_key,
            stage=stage,
            event=event,
            at=self._clock.now(),
            attempt=number + 1 if event == "started" else max(1, number),
            metrics={name: float(value) for name, value in metrics.items()},
            notes=without_secrets(notes)[:_MAX_NOTES] if notes else None,
            digests=dict(digests),
        )
