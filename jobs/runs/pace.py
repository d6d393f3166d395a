"""Rows per second and the time left, while one pass over many rows is under way."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.runs.progress import Progress
from jobs.spark.background import in_background

_POLL = 1.0  # seconds
WORTH_NOTING = 5.0  # seconds; shorter passes are not reported


@contextmanager
def paced(
    progress: Progress, stage: str, n_rows: int, n_done: Callable[[], int] | None
) -> Iterator[None]:
    """Show how fast rows are done, and how long the rest will take.

    Parameters
    ----------
    n_done : the rows done so far; a task that is repeated may count twice. None: nobody knows
    """
    began = time.monotonic()

    def watch(stop: threading.Event) -> None:
        while n_done is not None and not stop.wait(_POLL):
            done = min(n_done(), n_rows)
            pace = done / (time.monotonic() - began)
            facts = {"left": f"{(n_rows - done) / pace:.0f}s"} if done else {}
            progress.update(done, n_rows, rows_per_second=pace, **facts)

    with in_background(watch):
        yield
    seconds = time.monotonic() - began
    if seconds > WORTH_NOTING:
        progress.note(
            stage, f"{n_rows} rows in {seconds:.0f} s, {n_rows / seconds:.4g} rows per second"
        )
