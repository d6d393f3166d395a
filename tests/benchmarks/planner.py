"""Plans beside measurements: whole curations of three sizes, time and memory.

Run: python -m tests.benchmarks.planner [N_POINTS ...]   (20000, 200000, 1000000; all by default)
"""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.bench import Bench
from tests.benchmarks.curation import CLUSTERS
from tests.benchmarks.machine import describe_machine, keep_to_cores
from tests.benchmarks.processes import Outcome
from tests.benchmarks.tasks import Task

N_FEATURES = 256
TIME_LIMIT = 3000.0  # seconds, from the plan to the end
PEAKS = {"jvm": "jvm", "driver": "python", "worker": "worker"}  # as planned: as measured
COLUMNS = ("time, s", "JVM, GiB", "driver's Python, GiB", "largest worker, GiB")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the machine, then the table, each row as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.planner")
    parser.add_argument("sizes", nargs="*", type=int, metavar="N_POINTS", default=[*CLUSTERS])
    parser.add_argument("--out", type=Path, default=Path("data/benchmarks"), help="%(default)s")
    asked = parser.parse_args(argv)
    if unknown := set(asked.sizes) - set(CLUSTERS):
        parser.error(f"N_POINTS={sorted(unknown)}; want some of {[*CLUSTERS]}")
    logging.basicConfig(level=logging.WARNING)
    keep_to_cores()
    print(" · ".join(f"{key} {value}" for key, value in describe_machine().items()), end="\n\n")
    print("| n | levels | " + " | ".join(f"{c}: planned, measured (ratio)" for c in COLUMNS) + " |")
    print("|---" * (2 + len(COLUMNS)) + "|")
    asked.out.mkdir(parents=True, exist_ok=True)
    for n_points in asked.sizes:
        with tempfile.TemporaryDirectory(dir=asked.out, prefix="work-") as work:
            task = Task("curate", n_points, N_FEATURES, CLUSTERS[n_points]["levels"][0])
            outcome = Bench(Path(work).resolve(), TIME_LIMIT).run(task, {})
        print(f"| {' | '.join(_cells(n_points, outcome))} |", flush=True)
    print("\nTime is from the end of the plan to the published sample; memory is peak RSS over the")
    print("whole run. Ratio: measured over planned.")


def _cells(n_points: int, outcome: Outcome) -> list[str]:
    levels = "/".join(map(str, CLUSTERS[n_points]["levels"]))
    if outcome.status != "done":
        return [f"{n_points:,}", levels, f"{outcome.status} {outcome.note}", *[""] * len(PEAKS)]
    planned = outcome.said["figures"]
    compared = [(planned["seconds"], outcome.said["seconds"], ".1f")]
    for ours, role in PEAKS.items():
        compared.append((planned[f"peak_{ours}"] / 2**30, outcome.peak_rss[role] / 2**30, ".2f"))
    return [
        f"{n_points:,}",
        levels,
        *(f"{a:{form}}, {b:{form}} ({b / a:.2f})" for a, b, form in compared),
    ]


if __name__ == "__main__":
    main()
