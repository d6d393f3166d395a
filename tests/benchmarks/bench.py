"""The bench: data made once, BLAS settings found by trial, and a folder for every run."""

import itertools
import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.machine import n_cores
from tests.benchmarks.processes import Outcome, run_task
from tests.benchmarks.scoring import score
from tests.benchmarks.tasks import Files, Task

log = logging.getLogger(__name__)

# OpenBLAS kernels to try: a CPU that OpenBLAS does not know gets a slow one
_CORETYPES = ("", "SkylakeX")
# how OpenMP's threads wait: by default they spin, which takes the core from threads with work
_WAITS = ("", "passive")
_TRIAL = Task("", 20_000, 256, 2000, iterations=3)
_BLAS_VARIABLES = (
    "OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY",
)  # fmt: skip


class Bench:
    """The work folder: data made once, and a folder for every run."""

    def __init__(self, work: Path, time_limit: float) -> None:
        self.work, self.time_limit = work, time_limit
        self.n_runs = 0

    def sgemm_peak(self, sizes: Iterable[int]) -> tuple[float, str]:
        """Return the best rate over sizes and OpenBLAS kernels, and the kernel that reached it."""
        rates = []
        for coretype in _CORETYPES:
            for size in sizes:
                task = Task("sgemm", size, size, size)
                outcome = self._process(task, None, blas_setting(coretype))
                if outcome.status == "done":  # a kernel may need instructions that the CPU lacks
                    rates.append((outcome.said["figures"]["flops"], coretype))
        peak, coretype = max(rates)
        plain = max(rate for rate, name in rates if not name)
        return peak, coretype if peak > 1.05 * plain else ""

    def fastest_setting(self, rival: str) -> dict[str, str]:
        """Return the environment in which a short trial of this rival is fastest."""
        trial = replace(_TRIAL, rival=rival)
        tried = {}
        for one in itertools.product(_CORETYPES, _WAITS):
            outcome = self._process(trial, self._files(trial), blas_setting(*one))
            if outcome.status == "done":
                tried[one] = outcome.said["seconds"]
        plain = ("", "")
        best = min(tried, key=tried.__getitem__, default=plain)
        is_better = best in tried and tried[best] < 0.95 * tried.get(plain, float("inf"))
        return blas_setting(*best) if is_better else blas_setting(*plain)

    def run(self, task: Task, setting: dict[str, str]) -> Outcome:
        """Run a rival and score it; its large files are deleted at once."""
        files = self._files(task)
        outcome = self._process(task, files, setting)
        folder = self._folder(task)
        if (folder / "centroids.npy").exists() and outcome.status == "done":
            outcome.said |= score(files, folder)
        shutil.rmtree(folder)
        said = outcome.note or outcome.said.get("seconds")
        log.info("rival=%s status=%s said=%s", task.name, outcome.status, said)
        return outcome

    def _process(self, task: Task, files: Files | None, setting: dict[str, str]) -> Outcome:
        self.n_runs += 1
        env = {k: v for k, v in os.environ.items() if k not in _BLAS_VARIABLES} | setting
        return run_task(
            task,
            files or Files("", "", ""),
            self._folder(task),
            time_limit=self.time_limit,
            env=env,
        )

    def _folder(self, task: Task) -> Path:
        return self.work / f"{self.n_runs}-{task.name}"

    def _files(self, task: Task) -> Files:
        stem = self.work / f"points-{task.n_points}x{task.n_features}"
        files = Files(f"{stem}.npy", f"{stem}.parquet", f"{stem}-concepts.npy")
        if not stem.with_suffix(".done").exists():
            made = self._process(replace(task, rival="data"), files, {})
            if made.status != "done":
                raise RuntimeError(f"the data of {task.name} was not made: {made.note}")
            stem.with_suffix(".done").touch()
            log.info("data=%s seconds=%.1f", stem.name, made.said["seconds"])
        return files


def blas_setting(coretype: str, wait: str = "") -> dict[str, str]:
    """Return the environment of this OpenBLAS kernel and wait on the bench's cores."""
    asked = {"OPENBLAS_CORETYPE": coretype, "OMP_WAIT_POLICY": wait}
    threads = {"OMP_NUM_THREADS": str(n_cores())}
    return threads | {name: value for name, value in asked.items() if value}
