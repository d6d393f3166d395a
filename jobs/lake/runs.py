"""Runs: what a run's stages are called, which are finished already, and the ledger of events."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import TypeVar

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.lake import keys
from jobs.lake.config import RunConfig, as_public_dict
from jobs.lake.errors import ConfigError
from jobs.lake.inputs import Pool, open_pool, pool_columns
from jobs.lake.progress import Progress
from jobs.lake.secrets import without_secrets
from jobs.lake.settling import needs_tuning, settled
from jobs.lake.tables import TABLES, Lake

log = logging.getLogger(__name__)

T = TypeVar("T")
Metrics = dict[str, float]

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
    metrics: dict[str, Metrics] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    _events: list[tuple[str, str, Metrics]] = field(default_factory=list)
    # of the stage under way: its tables' digests and rows, and what is to come once it has finished
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

    def _read_events(self, stage_keys: set[str]) -> None:
        """Read what the ledger, which has to be there, knows of some stage keys."""
        mine = self.lake.read("runs").where(F.col("stage_key").isin(sorted(stage_keys)))
        rows = mine.orderBy("at").select("stage_key", "event", "metrics").collect()
        self._events.extend((row.stage_key, row.event, dict(row.metrics or {})) for row in rows)

    def stage(self, stage: str, work: Callable[[], Metrics]) -> Metrics:
        """Do a stage, or reuse it where its key is finished; either way the ledger says so.

        Parameters
        ----------
        work : does the stage and gives its figures
        """
        finished = self._finished(stage)
        if finished is not None and not self.is_refresh:
            self._record(stage, "reused", finished)
            self.progress.note(stage, "reused")
            self.reused.append(stage)
            self.metrics[stage] = finished
            return finished
        if self.is_refresh:  # even where an attempt failed, whose commits would not be repeated
            self._record(stage, "cleaned", {})
        self._record(stage, "started", {})
        self._digests.clear()
        self._finishing.clear()
        self._n_rows.clear()
        began = time.perf_counter()
        try:
            with self.progress.stage(stage, self.spark):
                figures = work()
        except BaseException as error:
            note = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            self._record(stage, "failed", {}, note)
            raise
        n_rows = {f"{ROWS_OF}{table}": n for table, n in self._n_rows.items()}
        figures = figures | {"seconds": time.perf_counter() - began} | n_rows
        self._record(stage, "finished", figures)
        for finish in self._finishing:
            finish()
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
        key = self.keys[stage]
        return sum(k == key and event == "cleaned" for k, event, _ in self._events)

    def write(self, table: str, rows: DataFrame, stage: str) -> int:
        """Write a stage's rows of one table; give their number, keep it and their digest."""
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
        key = self.keys[stage]
        return last_finished((event, metrics) for k, event, metrics in self._events if k == key)

    def _record(self, stage: str, event: str, metrics: Metrics, notes: str | None = None) -> None:
        key = self.keys[stage]
        attempt = 1 + sum(k == key and e == "started" for k, e, _ in self._events)
        row: tuple[object, ...] = (
            self.run_id,
            stage,
            event,
            datetime.now(UTC),
            attempt if event == "started" else max(1, attempt - 1),
            json.dumps(as_public_dict(self.recipe)),
            {self.pool.name: self.pool.fingerprint},
            {name: float(value) for name, value in metrics.items()},
            without_secrets(notes)[:10_000] if notes else None,
            dict(self._digests) if event == "finished" else {},
            code_version(),
        )
        self.lake.append("runs", self.spark.createDataFrame([row], TABLES["runs"]), key)
        self._events.append((key, event, metrics))
        log.info("stage=%s event=%s key=%s", stage, event, key)


def open_run(
    spark: SparkSession,
    config: RunConfig,
    *,
    progress: Progress | None = None,
    is_refresh: bool = False,
    replaces_samples: bool = False,
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
    )
    if lake.exists("runs"):
        ledger = lake.read("runs")
        _refuse_other_pool(ledger, run)
        _refuse_other_ids(lake, columns.schema["id"].dataType.simpleString(), config.input.id)
        run._read_events(set(run.keys.values()))
    if not run.is_settled and run._finished("tune_tree") is not None and not is_refresh:
        run.settle()
    return run


def last_finished(events: Iterable[tuple[str, T]]) -> T | None:
    """Give what came with the event that finished a stage key, unless it was cleaned since.

    Parameters
    ----------
    events : (event, what comes with it) of one stage key, oldest first
    """
    ends = [(event, found) for event, found in events if event in ("finished", "cleaned")]
    return ends[-1][1] if ends and ends[-1][0] == "finished" else None


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
