"""One rival in a process of its own: python -m tests.benchmarks.child TASK FILES FOLDER."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil

from tests.benchmarks.tasks import Files, Fit, Stopwatch, Task

OUTCOME, MARKER = "outcome.json", "timing"


def rival_named(name: str) -> Callable[[Task, Files, Stopwatch], Fit]:
    """Return the function behind a name; only its own modules are imported."""
    if name == "data":
        from tests.benchmarks.data import write_data

        return write_data
    if name in ("evenlake", "assignment"):
        from tests.benchmarks import evenlake

        return evenlake.fit_evenlake if name == "evenlake" else evenlake.pass_over_blocks
    if name == "curate":
        from tests.benchmarks.curation import curate_as_planned

        return curate_as_planned
    if name.startswith("mllib-"):
        from tests.benchmarks.mllib import fit_mllib

        return fit_mllib
    from tests.benchmarks import memory_rivals

    return {
        "faiss": memory_rivals.fit_faiss,
        "faiss-super": memory_rivals.fit_faiss_super,
        "sklearn-lloyd": memory_rivals.fit_lloyd,
        "sklearn-minibatch": memory_rivals.fit_minibatch,
        "superkmeans": memory_rivals.fit_superkmeans,
        "sgemm": memory_rivals.measure_sgemm,
    }[name]


def main(task: Task, files: Files, folder: Path) -> None:
    """Run it and leave its outcome, centroids and labels in the folder."""
    fit = rival_named(task.rival)(task, files, Stopwatch(folder / MARKER))
    for name in ("centroids", "labels"):
        if getattr(fit, name) is not None:
            np.save(folder / f"{name}.npy", getattr(fit, name))
    said = {name: getattr(fit, name) for name in ("seconds", "ran", "at_ten", "figures")}
    said["peak_rss"] = high_water(psutil.Process())
    (folder / OUTCOME).write_text(json.dumps(said))


def high_water(process: psutil.Process) -> int:
    """Return the most bytes a process has held, or what it holds now if that is not recorded."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if match:
            return int(match[1]) * 1024
    return int(process.memory_info().rss)


def arguments(task: Task, files: Files, folder: Path) -> list[str]:
    """Return the command line that makes a process do this."""
    said = [json.dumps(asdict(task)), json.dumps(asdict(files)), str(folder)]
    return [sys.executable, "-m", "tests.benchmarks.child", *said]


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])), Files(**json.loads(sys.argv[2])), Path(sys.argv[3]))
