"""Checking a run: whether its tables still hold what the ledger says it wrote."""

from dataclasses import dataclass

from jobs.config.errors import CurationError
from jobs.ledger.events import Event
from jobs.past.history import History
from jobs.past.recorded import RecordedRun
from jobs.runs.work import ROWS_OF
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.tables.lake import Lake
from jobs.tables.table import Table, name_of


@dataclass(frozen=True)
class Check:
    """One table of one stage: rows and digest as found, and as recorded.

    Attributes
    ----------
    stage : its name; for a stage beside a run with its key, as there may be several
    command : the command that writes it again
    """

    stage: str
    table: str
    got: str
    want: str
    command: str = "curate"

    @property
    def is_ok(self) -> bool:
        """Whether they agree."""
        return self.got == self.want

    def __str__(self) -> str:
        """Return it as one line."""
        if self.is_ok:
            return f"ok {self.table} ({self.stage}): {self.got}"
        return f"differs {self.table} ({self.stage}): got {self.got}; want {self.want}"


@dataclass(frozen=True)
class Verification:
    """How a run's tables compare with the ledger.

    Attributes
    ----------
    skipped : stage -> the state that kept it from being checked: failed, started or cleaned
    """

    run_id: str
    checks: list[Check]
    skipped: dict[str, str]

    def __str__(self) -> str:
        """Return a line per table, and one per skipped stage."""
        lines = [str(check) for check in self.checks]
        lines += [f"skipped {stage}: {why}, not finished" for stage, why in self.skipped.items()]
        if self.checks and all(check.is_ok for check in self.checks):
            lines.append(f"{len(self.checks)} tables of run {self.run_id} are as recorded")
        return "\n".join(lines)

    def require(self) -> None:
        """Make sure that all tables agree.

        Raises
        ------
        CurationError
            If any table differs, naming each, or if there was nothing to check.
        """
        if not self.checks:
            raise CurationError(
                f"run {self.run_id} has no finished stage to verify; evenlake curate makes it again"
            )
        wrong = [check for check in self.checks if not check.is_ok]
        if wrong:
            again = sorted({f"evenlake {check.command} --full-refresh" for check in wrong})
            raise CurationError(
                f"{len(wrong)} of {len(self.checks)} tables of run {self.run_id} differ from the "
                f"ledger: {', '.join(check.table for check in wrong)}; {' and '.join(again)} "
                "writes them again"
            )


def verify(lake: Lake, history: History, run: RecordedRun) -> Verification:
    """Count and hash every table of a run's finished stages, and compare.

    For a stage beside the run, every key is checked: all of its rounds and selections.
    """
    checks, skipped, recipe = [], {}, history.recipe
    commands = {stage.name: stage.command for stage in recipe.stages if stage.is_side}
    for event in [*run.own.values(), *run.beside]:
        name = f"{event.stage} {event.stage_key}" if event.stage in commands else event.stage
        finished = history.finished(event.stage_key)
        if finished is None:
            skipped[name] = history.state_of_key(event.stage_key)
            continue
        command = commands.get(event.stage) or "curate"
        checks += [
            _check(lake, finished, recipe.tables.get(table, table), name, command)
            for table in sorted(finished.digests)
        ]
    return Verification(run.run_id, checks, skipped)


def _check(lake: Lake, finished: Event, table: Table | str, stage: str, command: str) -> Check:
    name = name_of(table)
    n_rows = finished.metrics.get(ROWS_OF + name)  # older ledgers do not have it
    want = _as_text(None if n_rows is None else int(n_rows), finished.digests[name])
    try:
        if lake.exists(name):
            found = lake.describe(table, finished.stage_key)
            got = _as_text(None if n_rows is None else found.n_rows, found.digest)
        else:
            got = f"no table at {lake.shown(name)}"
    except SPARK_ERRORS as error:
        got = f"what cannot be read: {reason(error)}"
    return Check(stage, name, got, want, command)


def _as_text(n_rows: int | None, digest: str) -> str:
    return f"digest {digest}" if n_rows is None else f"{n_rows} rows, digest {digest}"
