"""What became of every run and every stage key, according to the ledger's events."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from jobs.config.errors import ConfigError
from jobs.ledger.attempts import at_work
from jobs.ledger.delta_store import DeltaStore
from jobs.ledger.events import Event, last_finished
from jobs.past.recorded import RecordedRun
from jobs.runs.stage import Recipe
from jobs.tables.lake import Lake
from jobs.tables.publishing import last_metadata

MAY_GO_ON = timedelta(hours=1)  # a run may pause this long between two stages


@dataclass(frozen=True)
class History:
    """The ledger of one root.

    Attributes
    ----------
    events : oldest first
    recipe : this version's
    published : sample -> run_id, for the samples published now
    running : stage keys that a process is working on
    """

    events: Sequence[Event]
    recipe: Recipe
    published: dict[str, str]
    running: frozenset[str] = frozenset()

    @cached_property
    def runs(self) -> list[RecordedRun]:
        """Every run, the newest first."""
        return runs_of(self.events, self.recipe)

    @cached_property
    def by_key(self) -> dict[str, list[Event]]:
        """The events of every stage key, oldest first."""
        return by_key(self.events)

    def finished(self, stage_key: str) -> Event | None:
        """Return the event that finished a stage key, unless it was cleaned since."""
        return last_finished(self.by_key.get(stage_key, []))

    def state_of_key(self, stage_key: str) -> str:
        """Return a stage key's state: ``finished``, ``failed``, ``started`` or ``cleaned``."""
        if self.finished(stage_key) is not None:
            return "finished"
        last = [e.event for e in self.by_key[stage_key] if e.event not in ("reused", "resumed")][-1]
        return "cleaned" if last == "finished" else last  # cleaned while the attempt was running

    def state_of(self, run: RecordedRun) -> str:
        """Return a run's state, whatever was done beside it.

        ``running`` while a process works on one of its stages; ``cleaned`` if it finished but some
        of its rows have been removed since.
        """
        keys = [e.stage_key for e in run.own.values()]
        if self.running.intersection(keys):
            return "running"
        is_gone = any(self.state_of_key(key) == "cleaned" for key in keys)
        return "cleaned" if run.state == "finished" and is_gone else run.state

    def is_active(self, run: RecordedRun, now: datetime) -> bool:
        """Return whether a run is working on a stage, or may be between two."""
        if self.running.intersection(e.stage_key for e in run.events):
            return True
        return run.is_between and now - run.last.at < MAY_GO_ON

    def is_busy(self, now: datetime) -> bool:
        """Return whether any run is active."""
        return any(self.is_active(run, now) for run in self.runs)

    def is_superseded(self, run: RecordedRun) -> bool:
        """Return whether a later run of the same lineage finished.

        A run whose sample is the published one stays current.
        """
        if run.lineage is None or run.run_id in self.published.values():
            return False
        return any(
            later.state == "finished"
            and later.finished_at > run.last.at
            and run.lineage in later.lineages
            for later in self.runs
            if later.run_id != run.run_id
        )

    def keys_of(self, run: RecordedRun) -> set[str]:
        """Return every stage key that a run uses.

        A lone ``evenlake report`` records only its own stage: earlier keys follow from the config.
        """
        keys = {e.stage_key for e in run.events}
        if run.config is None:
            return keys
        for fingerprint in run.last.inputs.values():
            named = self.recipe.keys(run.config, fingerprint)
            keys |= set(named.values())
            ends = {name: self.finished(key) for name, key in named.items()}
            figures = {name: end.metrics for name, end in ends.items() if end is not None}
            resolved = self.recipe.resolved(run.config, figures)
            keys |= set(self.recipe.keys(run.config, fingerprint, resolved=resolved).values())
        return keys

    def find(self, run_id: str) -> RecordedRun:
        """Return the run with that id, or the only one whose id begins with it.

        Raises
        ------
        ConfigError
            If there is none, or more than one.
        """
        found = [run for run in self.runs if run_id and run.run_id.startswith(run_id)]
        if len(found) == 1:
            return found[0]
        names = [run.run_id for run in self.runs]
        if found:
            problem = f"{len(found)} runs begin so: {', '.join(run.run_id for run in found)}"
        else:
            near = difflib.get_close_matches(run_id, names, n=1)
            problem = f"no such run; did you mean {near[0]}?" if near else "no such run"
        raise ConfigError(f"RUN_ID {run_id!r}: {problem}; evenlake runs lists all {len(names)}")


def by_key(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Group events by stage key."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.stage_key, []).append(event)
    return found


def runs_of(events: Sequence[Event], recipe: Recipe) -> list[RecordedRun]:
    """Group events by run, the newest run first."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.run_id, []).append(event)
    runs = [RecordedRun(run_id, tuple(mine), recipe) for run_id, mine in found.items()]
    attempted = [run for run in runs if run.attempts]
    return sorted(attempted, key=lambda run: run.last.at, reverse=True)


def read_history(lake: Lake, recipe: Recipe) -> History:
    """Read the ledger, which stage keys are being worked on, and which samples are published.

    Raises
    ------
    ConfigError
        If there is no ledger.
    """
    store = DeltaStore(lake)
    events = store.read()
    if not events:
        raise ConfigError(
            f"no run is recorded at {lake.shown('runs')}; check output in the config, or run "
            "evenlake curate first"
        )
    samples = {s["name"] for run in runs_of(events, recipe) for s in run.recipe.get("samples", [])}
    marks = {name: last_metadata(lake, f"sample_{name}").get("run_id") for name in sorted(samples)}
    now = datetime.now(UTC)
    return History(
        events,
        recipe,
        published={name: run_id for name, run_id in marks.items() if run_id is not None},
        running=frozenset(key for key, mine in by_key(events).items() if at_work(store, mine, now)),
    )
