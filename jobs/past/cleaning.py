"""Cleaning up: rows left by broken attempts, and those of superseded runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from jobs.config.version import code_version
from jobs.ledger.delta_store import DeltaStore
from jobs.ledger.events import LEASES, Event, last_attempt
from jobs.past.history import MAY_GO_ON, History, by_key
from jobs.past.recorded import RecordedRun
from jobs.runs.stage import Recipe
from jobs.runs.work import ROWS_OF
from jobs.tables.lake import Lake
from jobs.tables.upkeep import count_rows, remove_rows

_AT_ONCE = 4  # parallel commits: a small one is mostly waiting


@dataclass(frozen=True)
class Leftover:
    """Rows of one stage key that nobody needs.

    Attributes
    ----------
    last : the latest event of the stage key
    why : failed, started, cleaned (by an interrupted cleanup), or superseded
    n_rows : table -> row count; at least one table
    may_be_running : whether it is left alone for now
    """

    last: Event
    why: str
    n_rows: dict[str, int]
    may_be_running: bool

    def __str__(self) -> str:
        """Return what is removed, or why it is not, as key=value."""
        last, rows = self.last, " ".join(f"{t}={n}" for t, n in self.n_rows.items())
        line = f"stage={last.stage} key={last.stage_key} run_id={last.run_id} why={self.why} {rows}"
        return f"may be running, --force removes it: {line}" if self.may_be_running else line


def find_leftovers(
    lake: Lake, history: History, *, older_than: timedelta, now: datetime
) -> list[Leftover]:
    """Find what can go: leftovers of broken attempts, and of runs superseded for that long."""
    reasons = reasons_to_go(history, older_than=older_than, now=now)
    running = keys_in_use(history, reasons, now)
    n_rows = _count(lake, tables_of(history.recipe), sorted(reasons))
    return [
        Leftover(history.by_key[key][-1], why, n_rows[key], key in running)
        for key, why in reasons.items()
        if n_rows[key]
    ]


def reasons_to_go(history: History, *, older_than: timedelta, now: datetime) -> dict[str, str]:
    """Return the stage keys whose rows nobody needs, and why; ``Leftover`` lists the reasons."""
    states = {key: history.state_of_key(key) for key in history.by_key}
    reasons = {key: state for key, state in states.items() if state != "finished"}
    for key in _superseded_keys(history, now - older_than):
        reasons.setdefault(key, "superseded")
    return reasons


def keys_in_use(history: History, stage_keys: Iterable[str], now: datetime) -> set[str]:
    """Return all stage keys of active runs, and those given that may be about to start."""
    running = _keys_of(history, [r for r in history.runs if history.is_active(r, now)])
    about = {key for key in stage_keys if _is_about_to_start(history.by_key[key][-1], now)}
    return running | about


def _superseded_keys(history: History, until: datetime) -> list[str]:
    """Return the stage keys used only by superseded runs with no event after ``until``."""
    gone = [r for r in history.runs if r.last.at <= until and history.is_superseded(r)]
    names = {run.run_id for run in gone}
    used = _keys_of(history, [run for run in history.runs if run.run_id not in names])
    return [e.stage_key for run in gone for e in run.events if e.stage_key not in used]


def _keys_of(history: History, runs: Sequence[RecordedRun]) -> set[str]:
    return set().union(*(history.keys_of(run) for run in runs))


def _is_about_to_start(last: Event, now: datetime) -> bool:
    """Return whether a refresh may have just cleaned a stage key that it is about to start."""
    return last.event == "cleaned" and now - last.at < MAY_GO_ON


def tables_of(recipe: Recipe) -> list[str]:
    """Return the tables in which a stage key may have left rows."""
    return [*recipe.tables, LEASES.name]


def _count(
    lake: Lake, tables: Sequence[str], stage_keys: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Count rows by stage key and table."""
    found: dict[str, dict[str, int]] = {key: {} for key in stage_keys}
    if stage_keys:
        for table in tables:
            if lake.exists(table):
                for key, n in count_rows(lake, table, stage_keys).items():
                    found[key][table] = n
    return found


def remove(lake: Lake, leftovers: Sequence[Leftover]) -> list[Leftover]:
    """Remove rows and record it; return what was removed.

    Stage keys taken up since they were found are left alone. The ledger is updated first: a stage
    key must not look finished once its rows begin to go. Whatever an interrupted removal leaves,
    the next one finds. An attempt that began meanwhile may have lost rows, and is cleaned as well.
    """
    known = by_key(DeltaStore(lake).read())
    leftovers = [left for left in leftovers if known[left.last.stage_key][-1] == left.last]
    _record_cleaned(lake, leftovers, known)
    _delete(lake, leftovers)
    now = by_key(DeltaStore(lake).read()) if leftovers else known
    begun = {key for key in now if last_attempt(now[key]) > last_attempt(known.get(key, []))}
    _record_cleaned(lake, [left for left in leftovers if left.last.stage_key in begun], now)
    return leftovers


def _record_cleaned(
    lake: Lake, leftovers: Sequence[Leftover], known: Mapping[str, Sequence[Event]]
) -> None:
    now = datetime.now(UTC)
    events = [_cleaned(left, last_attempt(known[left.last.stage_key]), now) for left in leftovers]
    if events:
        DeltaStore(lake).append(events)


def _delete(lake: Lake, leftovers: Sequence[Leftover]) -> None:
    removals: list[Callable[[], None]] = []
    for table in sorted({table for leftover in leftovers for table in leftover.n_rows}):
        mine = [leftover.last.stage_key for leftover in leftovers if table in leftover.n_rows]
        removals.append(partial(remove_rows, lake, table, mine))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for removed in [pool.submit(removal) for removal in removals]:
            removed.result()


def _cleaned(leftover: Leftover, attempt: int, now: datetime) -> Event:
    return replace(
        leftover.last,
        event="cleaned",
        attempt=max(attempt, leftover.last.attempt),
        at=now,
        metrics={f"{ROWS_OF}{table}": float(n) for table, n in leftover.n_rows.items()},
        notes=f"evenlake runs clean: {leftover.why}",
        digests={},
        code_version=code_version(),
    )
