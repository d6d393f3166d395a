"""Progress: one live line per stage on a terminal, key=value log lines elsewhere.

Both go to stderr. Spark's own jobs are described by stage, level and iteration for its UI.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from jobs.spark.background import in_background
from jobs.spark.classic import describe_jobs, rows_read

if TYPE_CHECKING:  # drawn on a terminal only, and notebooks may lack it
    from rich.console import Console

log = logging.getLogger(__name__)

LOG_EVERY = 10.0  # seconds between progress lines in the log
_POLL = 0.5  # seconds between polls of Spark's status
_PLACE = ("level", "round", "iter", "at")  # facts that say where in a stage a job is


class Progress:
    """What a run shows while it works: the stage's own units, and the rows that Spark has read.

    Attributes
    ----------
    is_live : whether to draw a live line instead of writing log lines
    """

    def __init__(self, *, is_live: bool | None = None) -> None:
        self.is_live = sys.stderr.isatty() if is_live is None else is_live
        self._reported: tuple[float, float | None, str] | None = None  # done, total, facts
        self._n_rows: int | None = None
        self._at: tuple[str, SparkSession | None] = ("", None)  # the stage's name

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        return Console(stderr=True)

    def expect(self, n_rows: int) -> None:
        """Set how many rows the pool has."""
        self._n_rows = n_rows

    @contextmanager
    def stage(self, stage: str, spark: SparkSession | None = None) -> Iterator[None]:
        """Show a stage from its start to its end."""
        self._reported, began = None, time.monotonic()
        self._at = stage, spark
        describe_jobs(spark, f"evenlake {stage}")
        show = self._show_live if self.is_live else self._show_lines
        try:
            with in_background(partial(show, stage, spark)):
                yield
        finally:
            describe_jobs(spark, None)
            log.info("stage=%s seconds=%.1f", stage, time.monotonic() - began)

    def update(self, done: float, total: float | None, **facts: object) -> None:
        """Report how far the stage is, in its own units, with a few facts."""
        self._reported = done, total, _joined(facts)
        (stage, spark), place = self._at, {k: v for k, v in facts.items() if k in _PLACE}
        describe_jobs(spark, f"evenlake {stage} after {_joined(place)}")

    def note(self, stage: str, text: str) -> None:
        """Show one line about a stage."""
        if self.is_live:
            self._console.print(f"  {stage:<16} {text}", highlight=False)
        else:
            log.info("stage=%s %s", stage, text)

    def _show_live(self, stage: str, spark: SparkSession | None, stop: threading.Event) -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<16}"),
            BarColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console) as bar:
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
        """Return the stage's last report; before its first, the rows read so far in this pass."""
        rows = rows_read(spark)
        counted = "" if rows is None else f"rows={rows}"
        if self._reported is not None:
            done, total, facts = self._reported
            return done, total, f"{facts} {counted}".rstrip()
        if rows is None:  # on Connect, or between two jobs
            return 0, None, counted
        is_of_pool = self._n_rows is not None and rows <= self._n_rows
        return rows, self._n_rows if is_of_pool else None, counted


def _joined(facts: dict[str, object]) -> str:
    return " ".join(f"{k}={_short(v)}" for k, v in facts.items())


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
