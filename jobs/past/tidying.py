"""Files that no table needs any more: those of removed or replaced rows, and of dead processes."""

import logging
from datetime import UTC, datetime, timedelta

from jobs.ledger.events import LEASES, RUNS
from jobs.past.cleaning import tables_of
from jobs.past.history import History, read_history
from jobs.runs.checkpoints import CHECKPOINTS
from jobs.runs.stage import Recipe
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.tables.lake import PAGES, Lake
from jobs.tables.locks import sweep
from jobs.tables.upkeep import compact, count_rows, remove_rows, vacuum

log = logging.getLogger(__name__)


def tidy(lake: Lake, recipe: Recipe, *, older_than: timedelta, is_forced: bool) -> str:
    """Delete files that tables have not referred to for that long; return what was done, as text.

    The ledger is compacted first: every event adds a small file. Pages of cleaned runs are deleted
    too, as are finished stages' checkpoints and leases. Nothing is done while a run is under way,
    unless forced.
    """
    history = read_history(lake, recipe)
    if history.is_busy(datetime.now(UTC)) and not is_forced:
        return "files of removed rows stay: a run is under way"
    if lake.local_folder is not None:
        sweep(lake.local_folder)
        for run in history.runs:
            if history.state_of(run) == "cleaned":
                (lake.local_folder / PAGES / f"{run.run_id}.html").unlink(missing_ok=True)
    _drop_progress(lake, history)
    tables = [*tables_of(recipe), RUNS.name, *(f"sample_{name}" for name in history.published)]
    there = [table for table in tables if lake.exists(table)]
    try:
        compact(lake, RUNS.name)
        vacuum(lake, there, older_than)
    except SPARK_ERRORS as error:  # a session that may not lower Delta's limit of a week
        log.warning("files of removed rows stay: %s", reason(error))
        return f"files of removed rows stay: {reason(error)}"
    return f"deleted files that {len(there)} tables have not used for {older_than.days} days"


def _drop_progress(lake: Lake, history: History) -> None:
    """Remove checkpoints and leases of finished stages, left if a driver died before doing so."""
    done = [key for key in history.by_key if history.finished(key) is not None]
    for table in (CHECKPOINTS.name, LEASES.name):
        if lake.exists(table) and (left := count_rows(lake, table, done)):
            remove_rows(lake, table, list(left))
