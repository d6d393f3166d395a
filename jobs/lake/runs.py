"""Runs: what a run's stages are called, which are finished already, and the ledger of events."""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.lake import keys
from jobs.lake.attempts import SECONDS, Attempt, at_work, expiry, is_open
from jobs.lake.config import RunConfig, as_public_dict
from jobs.lake.errors import BusyError, ConfigError, InputChangedError, LeaseLostError
from jobs.lake.events import Event, Metrics, append_events, last_finished, read_events
from jobs.lake.inputs import Pool, open_pool, pool_columns
from jobs.lake.progress import Progress
from jobs.lake.secrets import without_secrets
from jobs.lake.settling import needs_tuning, settled
from jobs.lake.tables import Lake
from jobs.lake.troubles import trouble_of

log = logging.getLogger(__name__)

ROWS_OF = "n_rows."  # figures of this name, followed by a table's, count the rows written there
_POLL = 2.0  # seconds between looks at what another run is at


@dataclass
class Run:
    """One run of a config on one version of its pool.

    Attributes
    ----------
    config : settled once tuning has finished, where anything is left to it
    recipe : the config as written
    keys : stage -> stage_key
    metrics : stage -> its figures, once finished or reused
    is_refresh : finished stages are cleaned and done again
    replaces_samples : published samples of another config may be taken over
    waits : for another process at the same stage, and takes its result; else it is an error
    opened_at : when it began
    """

    spark: SparkSession
    config: RunConfig
    recipe: RunConfig
    lake: Lake
    pool: Pool
    keys: dict[str, str]
    progress: Progress
    is_refresh: bool = False
    replaces_samples: bool = False
    waits: bool = True
    opened_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    metrics: dict[str, Metrics] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    _events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))  # by key
    # of the stage under way: its lease, its tables' digests and rows, and what is to come once it
    # has finished
    _attempt: Attempt | None = None
    _digests: dict[str, str] = field(default_factory=dict)
    _n_rows: Metrics = field(default_factory=dict)
    _finishing: list[Callable[[], None]] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        """The run's name: a hash of its recipe's stage keys."""
        return keys.run_id(keys.stage_keys(self.recipe, self.pool.fingerprint))

    @property
    def is_tuned(self) -> bool:
        """Whether tuning is among its stages."""
        return needs_tuning(self.recipe)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to tuning, or tuning has finished."""
        return not needs_tuning(self.config)

    def settle(self) -> None:
        """Put what tuning chose in the config's place, and name the stages that follow from it.

        Raises
        ------
        ConfigError
            If tuning has not finished.
        """
        if not self.is_settled:
            self.config = settled(self.recipe, self.figures("tune_tree"))
            known = set(self.keys.values())  # with given levels, the tree's among them
            later = keys.stage_keys(self.config, self.pool.fingerprint)
            self.keys = later | {stage: self.keys[stage] for stage in ("embed_pool", "tune_tree")}
            self._read_events(set(self.keys.values()) - known)

    def _read_events(self, stage_keys: Collection[str]) -> None:
        """Learn what the ledger knows of some stage keys."""
        for key in stage_keys:
            self._events.pop(key, None)
        for event in read_events(self.lake, stage_keys):
            self._events[event.stage_key].append(event)

    def stage(self, stage: str, work: Callable[[], Metrics]) -> Metrics:
        """Do a stage, or reuse it where its key is finished; either way the ledger says so.

        Parameters
        ----------
        work : does the stage and gives its figures

        Raises
        ------
        BusyError
            If another process is at it and this run does not wait.
        """
        finished = None if self.is_refresh else self._finished(stage)
        attempt = None if finished is not None else self._begin(stage)
        if attempt is None:
            return self._reuse(stage)
        self._digests.clear()
        self._finishing.clear()
        self._n_rows.clear()
        self._attempt = attempt
        began = time.perf_counter()
        with attempt.held():
            try:
                with self.progress.stage(stage, self.spark):
                    figures = work()
                attempt.require()
            except LeaseLostError:
                raise
            except BaseException as error:
                self._record_failure(stage, error)
                if (trouble := trouble_of(error)) is not None:
                    raise trouble from error
                raise
            n_rows = {f"{ROWS_OF}{table}": n for table, n in self._n_rows.items()}
            figures = figures | {"seconds": time.perf_counter() - began} | n_rows
            self._record(stage, "finished", figures)
        for finish in self._finishing:
            finish()
        self.metrics[stage] = figures
        return figures

    def _record_failure(self, stage: str, error: BaseException) -> None:
        """Tell the ledger, where that can be done: what failed may be the disk it is on."""
        note = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        try:
            self._record(stage, "failed", {}, note)
            if isinstance(error, InputChangedError):  # its rows may be of another input
                self._record(stage, "cleaned", {}, note)
        except Exception as unrecorded:
            log.warning("stage=%s its failure is not in the ledger: %s", stage, unrecorded)

    def _begin(self, stage: str) -> Attempt | None:
        """Win the next attempt at a stage; None where another run finished it meanwhile."""
        key = self.keys[stage]
        while True:
            self._wait_for_others(stage)
            finished = last_finished(self._events[key])
            if finished and not (self.is_refresh and finished.at < self.opened_at):
                return None
            if self.is_refresh:  # even where an attempt failed: its commits would not be repeated
                self._record(stage, "cleaned", {})
            number = 1 + sum(e.event == "started" for e in self._events[key])
            attempt = Attempt(self.lake, key, number)
            self._append(
                self._event(stage, "started", {SECONDS: self.lake.lease_seconds}, attempt.holder),
                transaction=f"{key}/attempt",
                version=number,
            )
            self._read_events([key])  # who won, and what was cleaned meanwhile
            if attempt.is_won(self._events[key]):
                log.info("stage=%s event=started key=%s attempt=%d", stage, key, number)
                return attempt
            attempt.give_up()

    def _wait_for_others(self, stage: str) -> None:
        """Wait until no other process is at a stage."""
        key, has_said = self.keys[stage], False
        while is_open(known := self._events[key]):
            other = at_work(self.lake, known)
            if other is not None:
                self._say_who(stage, other, is_first=not has_said)
                has_said = True
                time.sleep(_POLL)
            self._read_events([key])
            if other is None and self._events[key] == known:
                return  # gone, and it has told of no end before it went

    def _say_who(self, stage: str, other: Event, *, is_first: bool) -> None:
        until = f"{expiry(self.lake, other):%H:%M:%S} UTC"
        said = f"holder={other.notes} since={other.at:%H:%M:%S} lease_until={until}"
        if not self.waits:
            raise BusyError(
                f"{stage} is under way in another process ({said}); wait for it "
                "(--if-running wait), or stop it: its lease is over at the time given"
            )
        if is_first:
            self.progress.note(stage, f"waiting for another process: {said}")

    def _reuse(self, stage: str) -> Metrics:
        figures = self.figures(stage)
        self._record(stage, "reused", figures)
        self.progress.note(stage, "reused")
        self.reused.append(stage)
        self.metrics[stage] = figures
        return figures

    def when_finished(self, finish: Callable[[], None]) -> None:
        """Have something done once the stage under way is in the ledger as finished."""
        self._finishing.append(finish)

    def note_resumed(self, stage: str, sequence: int, place: str) -> None:
        """Put into the ledger that a stage goes on from a checkpoint."""
        self._record(stage, "resumed", {"checkpoint": float(sequence)}, place)
        self.progress.note(stage, f"resumed from checkpoint {sequence}")

    def figures(self, stage: str) -> Metrics:
        """Give a finished stage's figures.

        Raises
        ------
        ConfigError
            If the stage has not run yet for this config and input.
        """
        figures = self.metrics.get(stage) or self._finished(stage)
        if figures is None:
            raise ConfigError(
                f"{stage} has not finished for this config and input (key {self.keys[stage]}); "
                f"run it first, or run curate, which runs every stage"
            )
        return figures

    def incarnation(self, stage: str) -> int:
        """Count how often the stage's key was cleaned."""
        return sum(e.event == "cleaned" for e in self._events[self.keys[stage]])

    def require_lease(self) -> None:
        """See that the stage under way is still this run's; before every commit of its.

        Raises
        ------
        LeaseLostError
        """
        if self._attempt is not None:
            self._attempt.require()

    def write(self, table: str, rows: DataFrame, stage: str) -> int:
        """Write a stage's rows of one table; give their number, keep it and their digest."""
        self.require_lease()
        n_rows, self._digests[table] = self.lake.write(
            table, rows, self.keys[stage], incarnation=self.incarnation(stage)
        )
        self._n_rows[table] = n_rows
        return n_rows

    def write_all(self, outputs: Mapping[str, DataFrame], stage: str) -> None:
        """Write several tables at once: most of a small commit is waiting and planning."""
        with ThreadPoolExecutor(len(outputs)) as pool:
            for written in [pool.submit(self.write, t, r, stage) for t, r in outputs.items()]:
                written.result()

    def _finished(self, stage: str) -> Metrics | None:
        event = last_finished(self._events[self.keys[stage]])
        return None if event is None else dict(event.metrics)

    def _event(self, stage: str, event: str, metrics: Metrics, notes: str | None = None) -> Event:
        key = self.keys[stage]
        n_started = sum(e.event == "started" for e in self._events[key])
        return Event(
            stage_key=key,
            run_id=self.run_id,
            stage=stage,
            event=event,
            at=datetime.now(UTC),
            attempt=n_started + 1 if event == "started" else max(1, n_started),
            config=json.dumps(as_public_dict(self.recipe)),
            inputs={self.pool.name: self.pool.fingerprint},
            metrics={name: float(value) for name, value in metrics.items()},
            notes=without_secrets(notes)[:10_000] if notes else None,
            digests=dict(self._digests) if event == "finished" else {},
            code_version=code_version(),
        )

    def _append(self, event: Event, **transaction: Any) -> None:
        append_events(self.lake, [event], **transaction)

    def _record(self, stage: str, event: str, metrics: Metrics, notes: str | None = None) -> None:
        told = self._event(stage, event, metrics, notes)
        self._append(told)
        self._events[told.stage_key].append(told)
        log.info("stage=%s event=%s key=%s", stage, event, told.stage_key)


def open_run(
    spark: SparkSession,
    config: RunConfig,
    *,
    progress: Progress | None = None,
    is_refresh: bool = False,
    replaces_samples: bool = False,
    waits: bool = True,
) -> Run:
    """Pin the pool's version, name the stages, and read what the ledger knows of them.

    Raises
    ------
    InputError
        If the pool is not there, or its columns are not as the config says.
    ConfigError
        If the root already holds another pool, or ids of another type.
    """
    lake = Lake(spark, config.output)
    pool = open_pool(spark, config.input)
    columns = pool_columns(pool, config.input, config.embed.reads)
    run = Run(
        spark,
        config,
        config,
        lake,
        pool,
        keys.stage_keys(config, pool.fingerprint),
        progress or Progress(),
        is_refresh,
        replaces_samples,
        waits,
    )
    run._read_events(set(run.keys.values()))
    if lake.exists("runs"):
        _refuse_other_pool(lake.read("runs"), run)
        _refuse_other_ids(lake, columns.schema["id"].dataType.simpleString(), config.input.id)
    if not run.is_settled and run._finished("tune_tree") is not None and not is_refresh:
        run.settle()
    return run


def _refuse_other_pool(ledger: DataFrame, run: Run) -> None:
    written = ledger.where(F.col("event") == "finished")  # what failed first binds no root
    pools = written.select(F.map_keys("inputs").alias("pools")).distinct()
    known = {name for row in pools.collect() for name in row.pools}
    if known and run.pool.name not in known:
        raise ConfigError(
            f"output holds the pool {sorted(known)[0]!r}, this config reads {run.pool.name!r}; "
            "one root holds one pool: choose another output.root"
        )


def _refuse_other_ids(lake: Lake, id_type: str, expression: str) -> None:
    if not lake.exists("rejects"):  # the first table that a run writes
        return
    known = lake.read("rejects").schema["id"].dataType.simpleString()
    if known != id_type:
        raise ConfigError(
            f"output holds ids of type {known}, input.id={expression!r} is {id_type}; one root "
            "holds one type: cast input.id, or choose another output.root"
        )


def code_version() -> str:
    """Give the installed distribution's version, or say that there is none."""
    try:
        return metadata.version("evenlake")
    except metadata.PackageNotFoundError:
        return "0.1.0"
