"""What a run costs where the data cost nothing: the digits, curated and asked for again.

A child process each, N_REPEATS times: in one session a curate with a cold JVM, its re-run, and the
same with another root and seed, warm; and the whole process of a re-run that has nothing to do.

Run: python -m tests.benchmarks.small_runs [N_REPEATS]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from jobs import curate, write_example
from jobs.config.loading import load_config
from jobs.spark.session import get_session
from tests.benchmarks.machine import keep_to_cores

CONFIG = "conf/quickstart.yaml"
COMMAND = [sys.executable, "-m", "tests.benchmarks.small_runs"]


def overrides(folder: str, seed: int) -> list[str]:
    """Return what puts the demo's pool into a folder, and a root of its own beside it."""
    return [f"input.table={folder}/digits", f"output.root={folder}/lake{seed}", f"seed={seed}"]


def in_one_session(folder: str) -> dict[str, float]:
    """Return seconds and SQL executions of two curates and their re-runs in one session."""
    began = time.perf_counter()
    spark, _ = get_session(load_config(CONFIG, overrides(folder, 0)).spark)
    figures = {"session, s": time.perf_counter() - began}
    for seed, state in enumerate(("cold", "warm")):
        config = load_config(CONFIG, overrides(folder, seed))
        write_example.run(spark, config)
        for what in ("curate", "re-run"):
            before = _n_queries(spark)
            figures[f"{state} {what}, s"] = _seconds(lambda c=config: curate.run(spark, c))
            figures[f"{state} {what}, SQL"] = _n_queries(spark) - before
    spark.stop()
    return figures


def _n_queries(spark: Any) -> int:
    """Return how many SQL executions there were: they are numbered, and few are kept."""
    kept = spark._jsparkSession.sharedState().statusStore().executionsList()
    return int(kept.last().executionId()) + 1 if kept.nonEmpty() else 0


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure() -> dict[str, float]:
    """Return the figures of one repeat, in new processes and an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        child = [*COMMAND, "--in", folder]
        said = subprocess.run(child, check=True, capture_output=True, text=True).stdout
        figures: dict[str, float] = json.loads(said.splitlines()[-1])
        again = [sys.executable, "-m", "jobs", "curate", "--config", CONFIG, *overrides(folder, 0)]
        figures["whole re-run, s"] = _seconds(
            lambda: subprocess.run(again, check=True, capture_output=True)
        )
    return figures


def main(n_repeats: int) -> None:
    """Print the medians as a table."""
    keep_to_cores()
    repeats = [measure() for _ in range(n_repeats)]
    print(f"| of a run of the digits | median of {n_repeats} |\n|---|---|")
    for name in repeats[0]:
        print(f"| {name} | {median(figures[name] for figures in repeats):.4g} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in"]:
        print(json.dumps(in_one_session(sys.argv[2])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
