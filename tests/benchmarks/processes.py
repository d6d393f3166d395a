"""Run a rival in its own process: watch its memory, and end it at its time limit."""

import contextlib
import json
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.child import MARKER, OUTCOME, arguments, high_water
from tests.benchmarks.tasks import Files, Task

_REPOSITORY = Path(__file__).resolve().parents[2]
_SAMPLE_SECONDS = 0.2
_SETUP_SECONDS = 1800  # to start a session, read or embed the data; never part of a figure


@dataclass
class Outcome:
    """The outcome of one run.

    Attributes
    ----------
    status : ``done``, ``over`` (the time limit) or ``failed``
    said : seconds, ran and at_ten, if it is done; figures
    peak_rss : most bytes held: ``python`` (its own), ``jvm``, ``worker`` (the largest Python
        worker), ``all`` (all together, as
        sampled; shared pages count once per process)
    note : why it failed
    """

    status: str
    said: dict[str, Any] = field(default_factory=dict)
    peak_rss: dict[str, int] = field(default_factory=dict)
    note: str = ""


def run_task(
    task: Task, files: Files, folder: Path, *, time_limit: float, env: dict[str, str]
) -> Outcome:
    """Run one task to its end, or to its time limit."""
    folder.mkdir(parents=True)
    outcome = Outcome("failed")
    env = env | {"SPARK_LOCAL_DIRS": str(folder / "spark")}
    with (folder / "log").open("w") as log:
        process = psutil.Popen(
            arguments(task, files, folder),
            cwd=_REPOSITORY,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _watch(process, folder / MARKER, time_limit, outcome)
        finally:
            _end(process)
    if outcome.status == "failed" and process.returncode == 0:
        outcome.status = "done"
        outcome.said = json.loads((folder / OUTCOME).read_text())
        for role in ("python", "all"):  # exact, however short it ran
            seen = outcome.peak_rss.get(role, 0)
            outcome.peak_rss[role] = max(seen, outcome.said["peak_rss"])
    elif outcome.status == "failed":
        lines = (folder / "log").read_text(errors="replace").strip().splitlines()
        outcome.note = lines[-1][:300] if lines else f"exit code {process.returncode}"
    if (folder / MARKER).exists():
        known = json.loads((folder / MARKER).read_text())
        outcome.said["figures"] = outcome.said.get("figures", {}) | known
    return outcome


def _watch(process: psutil.Popen, marker: Path, time_limit: float, outcome: Outcome) -> None:
    """Sample the memory until the process ends or its time is over."""
    began, is_timed = time.monotonic(), False
    while process.poll() is None:
        _sample(process, outcome.peak_rss)
        if not is_timed and marker.exists():
            began, is_timed = time.monotonic(), True
        limit = time_limit if is_timed else _SETUP_SECONDS
        if time.monotonic() - began > limit:
            outcome.status = "over" if is_timed else "failed"
            outcome.note = "" if is_timed else f"not set up within {limit} s"
            return
        time.sleep(_SAMPLE_SECONDS)


def _sample(process: psutil.Popen, peak: dict[str, int]) -> None:
    now = {"python": 0, "jvm": 0, "worker": 0, "all": 0}
    jvm = 0
    for one in [process, *_descendants(process)]:
        with contextlib.suppress(psutil.Error, OSError):
            role, rss = _role(one, process.pid), one.memory_info().rss
            now[role] = max(now[role], high_water(one))
            if role == "jvm":  # a child that it forks would count its memory twice
                jvm = max(jvm, rss)
            else:
                now["all"] += rss
    now["all"] += jvm
    for role, most in now.items():
        peak[role] = max(peak.get(role, 0), most)


def _role(process: psutil.Process, driver: int) -> str:
    """Return a process's role by its command line: a JVM's forks share its memory, not its name."""
    if process.pid == driver:
        return "python"
    return "worker" if "pyspark.daemon" in process.cmdline() else "jvm"


def _descendants(process: psutil.Popen) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def _end(process: psutil.Popen) -> None:
    """End it, with the JVM and the workers that it started."""
    started = _descendants(process)
    for one in [process, *started]:
        with contextlib.suppress(psutil.Error):
            one.kill()
    process.wait()
    psutil.wait_procs(started, timeout=10)
