"""A stage at work: what its function receives, and where its rows go."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.util import inheritable_thread_target

from jobs.config.errors import ConfigError, InputChangedError, InputError
from jobs.config.model import RunConfig
from jobs.ledger.attempts import Attempt
from jobs.ledger.events import Figures
from jobs.runs.progress import Progress
from jobs.runs.stage import Stage
from jobs.spark.frames import as_frame, kept_no_more, kept_on_disk
from jobs.spark.shipping import ship
from jobs.tables.lake import Lake
from jobs.tables.table import Table
from udfs.shipping import Shipped

if TYPE_CHECKING:
    from jobs.runs.run import Run

log = logging.getLogger(__name__)

ROWS_OF = "n_rows."  # a figure named this plus a table's name counts the rows written there
Rows: TypeAlias = DataFrame | pa.Table


class Work:
    """One attempt at one stage of a run.

    Attributes
    ----------
    digests, n_rows : digests and row counts of the tables written so far
    """

    def __init__(self, run: "Run", stage: Stage[Any], attempt: Attempt) -> None:
        self.run, self.stage = run, stage
        self._attempt = attempt
        self.digests: dict[str, str] = {}
        self.n_rows: dict[str, int] = {}
        self._finishing: list[Callable[[], None]] = []
        self._releases: list[Callable[[], None]] = []
        self.lake.look_ahead(*stage.tables)

    @property
    def spark(self) -> SparkSession:
        """The run's session."""
        return self.run.spark

    @property
    def config(self) -> RunConfig:
        """The run's config, with nothing left to ``auto`` that an earlier stage resolves."""
        return self.run.config

    @property
    def lake(self) -> Lake:
        """The run's tables."""
        return self.run.lake

    @property
    def progress(self) -> Progress:
        """The run's progress display."""
        return self.run.progress

    @property
    def key(self) -> str:
        """The stage's key."""
        return self.run.key(self.stage)

    @property
    def incarnation(self) -> int:
        """How many times the stage's key was cleaned."""
        return self.run.ledger.incarnation(self.key)

    @property
    def is_repeated(self) -> bool:
        """Whether an earlier attempt, since any cleaning, may have written some of its rows."""
        return self._attempt.number > 1 + self.run.ledger.last_cleaned(self.key)

    @property
    def counts(self) -> Figures:
        """The rows written, as figures for the ledger."""
        return {f"{ROWS_OF}{table}": float(n) for table, n in self.n_rows.items()}

    def require_lease(self) -> None:
        """Make sure that this run still holds the stage; call it before every commit.

        Raises
        ------
        LeaseLostError
        """
        self._attempt.require()

    def require_pinned(self) -> None:
        """Make sure that the stage's other inputs are still what was pinned.

        Raises
        ------
        InputChangedError
        """
        try:
            if self.stage.pins is not None:
                self.stage.pins(self.spark, self.run.written)
        except (ConfigError, InputError) as error:
            raise InputChangedError(
                f"{error}; it changed while it was read: nothing of this stage is kept, run again"
            ) from error

    def write(self, table: Table, rows: Rows) -> int:
        """Write the stage's rows of one table; keep their count and digest, and return the count.

        Rows made on the driver are handed on to later stages if they are few, and if they are the
        ones stored: an earlier attempt may have written rows that differ in their last bits.
        """
        self.require_lease()
        frame = as_frame(self.spark, rows) if isinstance(rows, pa.Table) else rows
        written = self.lake.write(table, frame, self.key, incarnation=self.incarnation)
        if isinstance(rows, pa.Table) and written.is_new:
            known = [c.name for c in table.columns if c.name in rows.column_names]
            rows = rows.select(known)
            self.run.hand_on(self.stage, table, rows)
        elif not written.is_new:  # points in memory are of this attempt, too
            self.run.held.pop(self.key, None)
        self.digests[table.name], self.n_rows[table.name] = written.digest, written.n_rows
        return written.n_rows

    def rewrite(self, table: Table, rows: DataFrame, *, version: int) -> None:
        """Write rows that sum up what attempts add, anew if there is more to sum up.

        Parameters
        ----------
        version : rises with what was added; rows of this version are not written again
        """
        self.require_lease()
        transaction = f"{table.name}/rewritten"
        self.lake.replace(table, rows, self.key, transaction=transaction, version=version)
        written = self.lake.describe(table, self.key)
        self.digests[table.name], self.n_rows[table.name] = written.digest, written.n_rows

    def write_all(self, outputs: Mapping[Table, Rows]) -> None:
        """Write several tables in parallel: a small commit is mostly waiting and planning."""
        with ThreadPoolExecutor(len(outputs)) as pool:
            write = inheritable_thread_target(self.spark)(self.write)  # described as its stage's
            written = [pool.submit(write, table, rows) for table, rows in outputs.items()]
            for commit in written:
                commit.result()

    def ship(self, array: NDArray[Any]) -> Shipped:
        """Ship an array to the stage's tasks; it is released once this attempt is over."""
        shipped = ship(self.spark, array)
        self._releases.append(shipped.release)
        return shipped

    def persisted(self, rows: DataFrame) -> DataFrame:
        """Persist rows that are read several times; they are freed once this attempt is over."""
        rows = kept_on_disk(rows)
        self._releases.append(partial(kept_no_more, rows))
        return rows

    def when_finished(self, finish: Callable[[], None]) -> None:
        """Register a call to make once the ledger has the stage as finished."""
        self._finishing.append(finish)

    def note_resumed(self, sequence: int, place: str) -> None:
        """Record in the ledger that the stage resumes from a checkpoint."""
        self.run.record(self.stage, "resumed", {"checkpoint": float(sequence)}, notes=place)
        self.progress.note(self.stage.name, f"resumed from checkpoint {sequence}")

    def end(self) -> None:
        """End the lease and free what the attempt held, however it went."""
        self._attempt.end()
        releases, self._releases = self._releases, []
        self._call(releases)

    def finish(self) -> None:
        """Make the calls registered for when the stage has finished."""
        self.end()
        self._call([*self._finishing, self._attempt.forget_renewals])

    def _call(self, calls: Sequence[Callable[[], None]]) -> None:
        for call in calls:
            try:
                call()
            except Exception as error:  # the stage is over, and how it ended is recorded
                log.warning("stage=%s cleanup failed: %s", self.stage, error)
