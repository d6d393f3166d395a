"""Conduct a scenario: make its data, find the machine's peak, run every rival, score it."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.bench import Bench, blas_setting
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.processes import Outcome
from tests.benchmarks.scenarios import Scenario
from tests.benchmarks.tasks import Task

Row = dict[str, Any]


def conduct(
    scenario: Scenario,
    work: Path,
    *,
    repeats: int,
    time_limit: float,
    only: Sequence[str],
    on_result: Callable[[Row], None],
) -> None:
    """Run a scenario in a work folder; pass on the results so far after every run.

    Parameters
    ----------
    only : the rivals to run; empty for all
    """
    tasks = [t for t in scenario.tasks if not only or t.rival in only]
    bench = Bench(work, time_limit)
    peak, numpy_type = bench.sgemm_peak(scenario.sgemm_sizes)
    env = {"sklearn": blas_setting(numpy_type)}
    for library in ("faiss", "superkmeans"):
        if any(t.rival.startswith(library) for t in tasks):
            env[library] = bench.fastest_setting(library)
    known = {
        "what": scenario.what,
        "machine": describe_machine(),
        "peak_flops": peak,
        "settings": {"sgemm peak": blas_setting(numpy_type)} | env,
        "repeats": repeats,
        "time_limit": time_limit,
    }
    outcomes: dict[Task, list[Outcome]] = {task: [] for task in tasks}
    for _ in range(repeats):  # all rivals, then all again, so that a slow hour hits them alike
        for task in tasks:
            if all(outcome.status == "done" for outcome in outcomes[task]):
                setting = env.get(task.rival.partition("-")[0], {})
                outcomes[task].append(bench.run(task, setting))
                rows = [_row(t, runs, time_limit) for t, runs in outcomes.items() if runs]
                on_result(known | {"rows": rows})


def _row(task: Task, runs: list[Outcome], time_limit: float) -> Row:
    """Return a task's median over its runs."""
    done = [run.said for run in runs if run.status == "done"]
    row: Row = asdict(task) | {"status": runs[-1].status, "note": runs[-1].note}
    roles = runs[-1].peak_rss
    row["peak_rss"] = {role: max(run.peak_rss.get(role, 0) for run in runs) for role in roles}
    row["all_seconds"] = [said["seconds"] for said in done]
    if row["status"] == "over":
        row["seconds"] = time_limit
    if row["status"] != "done":
        return row | {"figures": runs[-1].said.get("figures", {})}
    for name in ("seconds", "at_ten", "inertia", "nearest_inertia", "kl"):
        values = [said[name] for said in done if said.get(name) is not None]
        row[name] = statistics.median(values) if values else None
    row["figures"] = _medians([said["figures"] for said in done])
    return row | {name: done[-1].get(name) for name in ("ran", "n_nearest", "uniform_kl")}


def _medians(figures: list[Row]) -> Row:
    """Return each figure's median; for text, the last run's."""
    medians = dict(figures[-1])
    for name, last in medians.items():
        if isinstance(last, int | float):
            medians[name] = statistics.median(one[name] for one in figures if name in one)
    return medians
