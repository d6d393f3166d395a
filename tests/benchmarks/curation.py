"""A whole curation of the benchmark's pool, beside the plan it starts with."""

import tempfile
from pathlib import Path

from jobs import curate, plan_run
from jobs.runs.opening import open_run
from jobs.runs.progress import Progress
from tests.benchmarks.evenlake import config_for
from tests.benchmarks.sessions import start_session
from tests.benchmarks.tasks import Files, Fit, Stopwatch, Task

N_PICKS = 5000
CLUSTERS = {  # number of points: the tree
    20_000: {"levels": [1000, 200], "resampling": {"rounds": 10, "points": [10, 3]}},
    200_000: {"levels": [10_000, 1000]},
    1_000_000: {"levels": [10_000, 1000]},
}


class _FromPlan(Progress):
    """Starts the watch when the plan is reported."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch = watch

    def note(self, stage: str, text: str) -> None:
        """Report one thing about a stage."""
        super().note(stage, text)
        if stage == plan_run.NAME:
            self.watch.start()


def curate_as_planned(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """``evenlake curate``, timed from its own plan to the published sample."""
    spark = start_session(task)
    with tempfile.TemporaryDirectory(dir=Path(files.pool).parent) as root:
        config = config_for(files, root, CLUSTERS[task.n_points], N_PICKS)
        run = open_run(spark, config, progress=_FromPlan(watch))
        summary = curate.curate(run)
        seconds = watch.lap()
    spark.stop()
    figures: dict[str, float | str] = {**summary.metrics[plan_run.NAME]}
    return Fit(seconds, "", figures=figures)
