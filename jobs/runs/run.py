"""A run: a recipe applied to one version of a pool, and the state of its stages."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from jobs.config.errors import ConfigError, CurationError, LeaseLostError, StartLostError
from jobs.config.model import RunConfig
from jobs.ledger.clock import Clock, SystemClock
from jobs.ledger.delta_store import DeltaStore
from jobs.ledger.events import EventStore, Figures
from jobs.ledger.run_ledger import RunLedger
from jobs.pool.inputs import Pool
from jobs.runs.progress import Progress
from jobs.runs.stage import O_co, Recipe, Stage
from jobs.runs.work import Work
from jobs.spark.frames import as_frame
from jobs.spark.queries import planned_for
from jobs.spark.troubles import trouble_of
from jobs.tables.lake import Lake
from jobs.tables.table import KEY, Table

log = logging.getLogger(__name__)

HANDED_BYTES = 64 << 20  # the largest table that one stage hands to the next in memory


@dataclass
class Run:
    """One run of a config on one version of its pool.

    Attributes
    ----------
    written : the config as written
    config : with nothing left to ``auto``, once the stages that resolve it have finished
    metrics : stage -> its figures, once finished or reused
    is_refresh : finished stages are cleaned and done again
    replaces_samples : another config's published samples may be replaced
    waits : whether to wait for another process at the same stage and take its result, or raise
    store : store of the events; the lake's own by default
    opened_at : when the run began
    """

    spark: SparkSession
    recipe: Recipe
    written: RunConfig
    config: RunConfig
    lake: Lake
    pool: Pool
    progress: Progress
    is_refresh: bool = False
    replaces_samples: bool = False
    waits: bool = True
    store: EventStore | None = None
    clock: Clock = field(default_factory=SystemClock)
    opened_at: datetime = field(init=False)
    metrics: dict[str, Figures] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    # handed on in memory: rows of tables by stage key and table, points by their stages' keys
    held: dict[str, pa.Table] = field(default_factory=dict)
    n_bytes: float | None = None  # size of the pool's vectors, once known

    def __post_init__(self) -> None:
        """Record when it began."""
        self.opened_at = self.clock.now()

    @property
    def keys(self) -> dict[str, str]:
        """The stage keys by stage, for the config as resolved so far."""
        return self.recipe.keys(self.written, self.pool.fingerprint, resolved=self.config)

    def key(self, stage: Stage[Any]) -> str:
        """Return a stage's key."""
        return self.keys[stage.name]

    def key_if(self, stage: Stage[Any], sections: Mapping[str, Any]) -> str:
        """Return the key that a stage would have if sections of the config were others."""
        written, config = (c.model_copy(update=sections) for c in (self.written, self.config))
        return self.recipe.keys(written, self.pool.fingerprint, resolved=config)[stage.name]

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.recipe.run_id(self.written, self.pool.fingerprint)

    @cached_property
    def ledger(self) -> RunLedger:
        """The ledger's view of the run's stage keys."""
        inputs = {self.pool.name: self.pool.fingerprint}
        names = [stage.name for stage in self.recipe.on(self.written)]
        store = self.store or DeltaStore(self.lake)
        return RunLedger(store, self.run_id, self.written, inputs, names, self.clock)

    # --- stages -----------------------------------------------------------------------------------

    def is_on(self, stage: Stage[Any]) -> bool:
        """Return whether the config turns a stage on."""
        return stage.is_on(self.written)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Run several stages in a row: the end of one and the start of the next share a commit."""
        with self.ledger.merging():
            yield

    def do(self, stage: Stage[O_co]) -> O_co:
        """Run a stage, or reuse it if its key has finished; either way, record it in the ledger.

        Raises
        ------
        ConfigError
            If a stage that it builds on has not finished for this config and input.
        BusyError
            If another process is working on it and this run does not wait.
        """
        # a module run as a program has created its stage twice
        stage = self.recipe.named(stage.name) or stage
        if stage.is_side:  # a refresh concerns this stage alone
            self.resolve()
        self._require_upstream(stage)
        while not self._done(stage):
            pass  # another process was first: wait for it
        self.resolve()
        return self.outcome(stage)

    def _done(self, stage: Stage[Any]) -> bool:
        """Run a stage or reuse it; return False if another process started it first."""
        attempt = self.ledger.begin(
            stage.name,
            self.key(stage),
            since=self.opened_at if self.is_refresh else None,
            waits=self.waits,
            say=partial(self.progress.note, stage.name),
        )
        if attempt is None:
            self._reuse(stage)
            return True
        attempt.begin()
        try:
            self._work(Work(self, stage, attempt), stage.work)
        except StartLostError:
            return False
        return True

    def _work(self, work: Work, do: Callable[[Work], Any]) -> None:
        """Run a stage's work, and record how it ended."""
        stage, began = work.stage, time.perf_counter()
        try:
            try:
                with self.progress.stage(stage.name, self.spark), self.queries():
                    outcome = do(work)
                    work.require_pinned()
                figures = outcome.figures()
                work.require_lease()
            except (LeaseLostError, StartLostError):
                raise
            except BaseException as error:
                self._record_failure(work, error)
                if (trouble := trouble_of(error)) is not None:
                    raise trouble from error
                raise
            figures |= {"seconds": time.perf_counter() - began} | work.counts
            self.record(
                stage, "finished", figures,
                notes=outcome.summary, digests=work.digests,
                then=work.finish, otherwise=work.end,
            )  # fmt: skip
        except BaseException:
            work.end()
            raise
        self.metrics[stage.name] = figures

    def _record_failure(self, work: Work, error: BaseException) -> None:
        """Record a failure in the ledger, if possible: the ledger's own disk may have failed."""
        note = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        try:
            work.require_lease()
            self.record(work.stage, "failed", notes=note)
            if isinstance(error, CurationError) and error.is_to_clean:
                self.record(work.stage, "cleaned", notes=note)
        except (LeaseLostError, StartLostError):
            raise
        except Exception as unrecorded:
            log.warning("stage=%s failure not recorded: %s", work.stage, unrecorded)

    def _reuse(self, stage: Stage[Any]) -> None:
        figures = self.figures(stage)
        self.record(stage, "reused", figures)
        self.progress.note(stage.name, "reused")
        self.reused.append(stage.name)
        self.metrics[stage.name] = figures

    def record(
        self, stage: Stage[Any], event: str, metrics: Figures | None = None, **more: Any
    ) -> None:
        """Add an event for a stage to the ledger."""
        self.ledger.record(stage.name, self.key(stage), event, metrics, **more)

    def _require_upstream(self, stage: Stage[Any]) -> None:
        before = self.recipe.before(stage)
        needed = [s for s in before if s.resolves is not None] + self.recipe.upstream(stage)
        if missing := self.recipe.earliest(needed, self.written, self.has_finished):
            self.figures(missing)
        self.resolve(before)

    def require_finished(self, stage: Stage[Any]) -> None:
        """Make sure that a stage, and what it builds on, have finished.

        Raises
        ------
        ConfigError
        """
        self._require_upstream(stage)
        self.figures(stage)

    def resolve(self, among: Sequence[Stage[Any]] | None = None) -> None:
        """Replace ``auto`` with what finished stages chose.

        Parameters
        ----------
        among : the stages to take it from; all by default
        """
        on = [s for s in self.recipe.on(self.written) if among is None or s in among]
        resolving = [s for s in on if s.resolves is not None]
        known = {s.name: figures for s in resolving if (figures := self._known(s)) is not None}
        self.config = self.recipe.resolved(self.written, known)

    def queries(self) -> AbstractContextManager[None]:
        """Plan queries for a pool of this size while the context lasts."""
        is_small = self.n_bytes is not None and self.n_bytes <= HANDED_BYTES
        return planned_for(self.spark, is_small=is_small)

    # --- what finished stages left ----------------------------------------------------------------

    def _known(self, stage: Stage[Any]) -> Figures | None:
        return self.metrics.get(stage.name) or self.ledger.figures(self.key(stage))

    def has_finished(self, *stages: Stage[Any]) -> bool:
        """Return whether stages have finished for this config and input."""
        return all(self._known(stage) is not None for stage in stages)

    def figures(self, stage: Stage[Any]) -> Figures:
        """Return a finished stage's figures.

        Raises
        ------
        ConfigError
            If the stage has not run yet for this config and input.
        """
        figures = self._known(stage)
        if figures is None:
            every = "it first, or run curate, which runs every stage"
            how = f"evenlake {stage.command} first" if stage.is_side else every
            raise ConfigError(
                f"{stage.name} has not finished for this config and input (key {self.key(stage)}); "
                f"run {how}"
            )
        return figures

    def outcome(self, stage: Stage[O_co]) -> O_co:
        """Return a finished stage's outcome.

        Raises
        ------
        ConfigError
            If the stage has not run yet for this config and input.
        """
        return stage.outcome.of(self.figures(stage))

    def summary(self, stage: Stage[Any]) -> str | None:
        """Return a finished stage's notes for people."""
        finished = self.ledger.finished(self.key(stage))
        return None if finished is None else finished.notes

    def read(self, stage: Stage[Any], table: Table) -> DataFrame:
        """Return a stage's rows of a table, without their key: from memory if held, or stored."""
        handed = self.held.get(f"{self.key(stage)}/{table.name}")
        if handed is not None:
            return table.shaped(as_frame(self.spark, handed), self.key(stage)).drop(KEY)
        return self.lake.read(table, self.key(stage))

    def fetch(self, stage: Stage[Any], table: Table, columns: Sequence[str]) -> pa.Table:
        """Return columns of a stage's rows on the driver, in no particular order."""
        handed = self.held.get(f"{self.key(stage)}/{table.name}")
        if handed is not None:
            return handed.select([*columns])
        return self.lake.read(table, self.key(stage)).select(*columns).toArrow()

    def hand_on(self, stage: Stage[Any], table: Table, rows: pa.Table) -> None:
        """Keep a stage's rows of a table in memory for later stages, if they are few."""
        if rows.nbytes <= HANDED_BYTES:
            self.held[f"{self.key(stage)}/{table.name}"] = rows
