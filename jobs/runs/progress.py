"""Progress: one live line per stage on a terminal, key=value log lines elsewhere."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from jobs.spark.classic import running_tasks

log = logging.getLogger(__name__)

LOG_EVERY = 10.0  # seconds between progress lines in the log
_POLL = 0.5  # seconds between polls of Spark's status


class Progress:
    """What a run shows while it works: the stage's own units, and Spark's tasks alongside."""

    def __init__(self, *, is_live: bool | None = None) -> None:
        self._console = Console(stderr=True)
        self._is_live = self._console.is_terminal if is_live is None else is_live
        self._reported: tuple[float, float | None, str] | None = None  # done, total, facts

    @contextmanager
    def stage(self, stage: str, spark: SparkSession | None = None) -> Iterator[None]:
        """Show a stage from its start to its end."""
        self._reported, began, stop = None, time.monotonic(), threading.Event()
        show = self._show_live if self._is_live else self._show_lines
        watcher = threading.Thread(target=show, args=(stage, spark, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
            log.info("stage=%s seconds=%.1f", stage, time.monotonic() - began)

    def update(self, done: float, total: float | None, **facts: object) -> None:
        """Report how far the stage is, in its own units, with a few facts."""
        self._reported = done, total, " ".join(f"{k}={_short(v)}" for k, v in facts.items())

    def note(self, stage: str, text: str) -> None:
        """Show one line about a stage."""
        if self._is_live:
            self._console.print(f"  {stage:<16} {text}", highlight=False)
        else:
            log.info("stage=%s %s", stage, text)

    def _show_live(self, stage: str, spark: SparkSession | None, stop: threading.Event) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<16}"),
            BarColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=self._console) as bar:
            task = bar.add_task(stage, total=None, facts="")
            while not stop.wait(_POLL):
                done, total, facts = self._state(spark)
                bar.update(task, completed=done, total=total, facts=facts)
            bar.update(task, total=1, completed=1)

    def _show_lines(self, stage: str, spark: SparkSession | None, stop: threading.Event) -> None:
        began = time.monotonic()
        while not stop.wait(LOG_EVERY):
            done, total, facts = self._state(spark)
            elapsed = time.monotonic() - began
            log.info(
                "stage=%s done=%s total=%s elapsed=%.0fs %s",
                stage, _short(done), "?" if total is None else _short(total), elapsed, facts,
            )  # fmt: skip

    def _state(self, spark: SparkSession | None) -> tuple[float, float | None, str]:
        """Return the stage's last report; before its first, Spark's own task counts."""
        tasks = running_tasks(spark)
        counted = "" if tasks is None else f"tasks={tasks[0]}/{tasks[1]}"
        if self._reported is not None:
            done, total, facts = self._reported
            return done, total, f"{facts} {counted}".rstrip()
        return (0, None, "") if tasks is None else (tasks[0], tasks[1], counted)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
