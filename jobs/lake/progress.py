"""Progress: one live line per stage on a terminal, key=value log lines elsewhere."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

log = logging.getLogger(__name__)

LOG_EVERY = 10.0  # seconds between log lines of a stage that says nothing else
_POLL = 0.5  # seconds between looks at Spark's status


class Progress:
    """What a run shows while it works."""

    def __init__(self, *, is_live: bool | None = None) -> None:
        self._console = Console(stderr=True)
        self._is_live = self._console.is_terminal if is_live is None else is_live
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._last_log = 0.0

    @contextmanager
    def stage(self, stage: str, spark: SparkSession | None = None) -> Iterator[None]:
        """Show a stage from its start to its end."""
        self._stage, began = stage, time.monotonic()
        self._last_log = began
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(spark, stop), daemon=True)
        if self._is_live:
            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description:<16}"),
                BarColumn(),
                TextColumn("{task.fields[facts]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(stage, total=None, facts="")
            self._bar.start()
        watcher.start()
        try:
            yield
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, total=1, completed=1)
        finally:
            stop.set()
            watcher.join()
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
            log.info("stage=%s seconds=%.1f", stage, time.monotonic() - began)

    def update(self, done: float, total: float | None, **facts: object) -> None:
        """Say how far the stage is, in its own units, with a few facts."""
        text = " ".join(f"{name}={_short(value)}" for name, value in facts.items())
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, facts=text)
        elif time.monotonic() - self._last_log >= LOG_EVERY:
            self._last_log = time.monotonic()
            log.info("stage=%s done=%s total=%s %s", self._stage, _short(done), total, text)

    def note(self, stage: str, text: str) -> None:
        """Say one thing about a stage."""
        if self._is_live:
            self._console.print(f"  {stage:<16} {text}", highlight=False)
        else:
            log.info("stage=%s %s", stage, text)

    def _watch(self, spark: SparkSession | None, stop: threading.Event) -> None:
        """Show Spark's own task counts while a job runs; silent where Spark does not tell."""
        while not stop.wait(_POLL):
            counts = _running_tasks(spark)
            if counts is not None:
                self.update(counts[0], counts[1], tasks=f"{counts[0]}/{counts[1]}")


def _running_tasks(spark: SparkSession | None) -> tuple[int, int] | None:
    try:
        tracker = spark.sparkContext.statusTracker()  # type: ignore[union-attr]
        infos = [tracker.getStageInfo(i) for i in tracker.getActiveStageIds()]
    except Exception:  # Connect has no status tracker; progress must never fail a run
        return None
    known = [info for info in infos if info is not None]
    if not known:
        return None
    return sum(i.numCompletedTasks for i in known), sum(i.numTasks for i in known)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def set_up_logging(level: str = "INFO") -> None:
    """Send log lines to stderr; called by the commands, never on import."""
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("py4j").setLevel(logging.WARNING)
