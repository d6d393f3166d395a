"""Runs: what a run's stages are called, which are finished already, and the ledger of events."""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError, CurationError, InputChangedError, LeaseLostError
from jobs.config.model import RunConfig
from jobs.config.resolving import needs_tuning, settled
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import Pool, open_pool
from jobs.runs import keys
from jobs.runs.attempts import Attempt
from jobs.runs.events import Metrics
from jobs.runs.ledger import RunLedger
from jobs.runs.progress import Progress
from jobs.spark.shipping import ship
from jobs.spark.troubles import trouble_of
from jobs.tables.lake import Lake
from udfs.shipping import Shipped

log = logging.getLogger(__name__)

ROWS_OF = "n_rows."  # figures of this name, followed by a table's, count the rows written there


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

    @cached_property
    def ledger(self) -> RunLedger:
        """What the ledger knows of its stage keys."""
        inputs = {self.pool.name: self.pool.fingerprint}
        return RunLedger(self.lake, self.run_id, self.recipe, inputs)

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
            self.ledger.read(set(self.keys.values()) - known)

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
        attempt = self.ledger.begin(
            stage,
            self.keys[stage],
            since=self.opened_at if self.is_refresh else None,
            waits=self.waits,
            say=partial(self.progress.note, stage),
        )
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
            self._record(stage, "finished", figures, digests=self._digests)
        for finish in self._finishing:
            try:
                finish()
            except Exception as error:  # the stage is done, and told
                log.warning("stage=%s left something behind: %s", stage, error)
        self.metrics[stage] = figures
        return figures

    def _record_failure(self, stage: str, error: BaseException) -> None:
        """Tell the ledger, where that can be done: what failed may be the disk it is on."""
        note = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        try:
            self.require_lease()
            self._record(stage, "failed", notes=note)
            if isinstance(error, InputChangedError):  # its rows may be of another input
                self._record(stage, "cleaned", notes=note)
        except LeaseLostError:
            raise
        except Exception as unrecorded:
            log.warning("stage=%s its failure is not in the ledger: %s", stage, unrecorded)

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

    def ship(self, array: NDArray[Any]) -> Shipped:
        """Ship an array to the tasks of the stage under way; freed once that is finished."""
        shipped = ship(self.spark, array)
        self.when_finished(shipped.release)
        return shipped

    def note_resumed(self, stage: str, sequence: int, place: str) -> None:
        """Put into the ledger that a stage goes on from a checkpoint."""
        self._record(stage, "resumed", {"checkpoint": float(sequence)}, notes=place)
        self.progress.note(stage, f"resumed from checkpoint {sequence}")

    def figures(self, stage: str) -> Metrics:
        """Return a finished stage's figures.

        Raises
        ------
        ConfigError
            If the stage has not run yet for this config and input.
        """
        figures = self.metrics.get(stage) or self.ledger.finished(self.keys[stage])
        if figures is None:
            raise ConfigError(
                f"{stage} has not finished for this config and input (key {self.keys[stage]}); "
                f"run it first, or run curate, which runs every stage"
            )
        return figures

    def incarnation(self, stage: str) -> int:
        """Count how often the stage's key was cleaned."""
        return self.ledger.incarnation(self.keys[stage])

    def require_lease(self) -> None:
        """See that the stage under way is still this run's; before every commit of its.

        Raises
        ------
        LeaseLostError
        """
        if self._attempt is not None:
            self._attempt.require()

    def require_kept(self) -> None:
        """See that nothing was cleaned of what the run stands on; before it publishes.

        Raises
        ------
        CurationError
        """
        done = {stage: key for stage, key in self.keys.items() if stage in self.metrics}
        self.ledger.read(done.values())
        gone = [stage for stage, key in done.items() if self.ledger.finished(key) is None]
        if gone:
            raise CurationError(
                f"{', '.join(gone)}: cleaned while the run was under way (evenlake runs clean); "
                "nothing is published: run the same command again"
            )

    def write(self, table: str, rows: DataFrame, stage: str) -> int:
        """Write a stage's rows of one table; give their number, keep it and their digest."""
        self.require_lease()
        n_rows, self._digests[table] = self.lake.write(
            table, rows, self.keys[stage], incarnation=self.incarnation(stage)
        )
        self._n_rows[table] = n_rows
        return n_rows

    def write_all(self, outputs: Mapping[str, DataFrame], stage: str) -> dict[str, int]:
        """Write several tables at once: most of a small commit is waiting and planning."""
        with ThreadPoolExecutor(len(outputs)) as pool:
            written = {t: pool.submit(self.write, t, r, stage) for t, r in outputs.items()}
            return {table: n_rows.result() for table, n_rows in written.items()}

    def _record(self, stage: str, event: str, metrics: Metrics | None = None, **more: Any) -> None:
        self.ledger.record(stage, self.keys[stage], event, metrics, **more)


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
    run.ledger.read(set(run.keys.values()))
    if lake.exists("runs"):
        _refuse_other_pool(lake.read("runs"), run)
        _refuse_other_ids(lake, columns.schema["id"].dataType.simpleString(), config.input.id)
    if (
        not run.is_settled
        and run.ledger.finished(run.keys["tune_tree"]) is not None
        and not is_refresh
    ):
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
