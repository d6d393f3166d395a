"""Run a scenario; write results.json, results.md and plots.html.

Run: python -m tests.benchmarks [SCENARIO] [--out DIR] [--repeats R] [--time-limit S]
     [--only NAME ...]
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.conduct import conduct
from tests.benchmarks.machine import keep_to_cores
from tests.benchmarks.plots import write_plots
from tests.benchmarks.report import as_markdown
from tests.benchmarks.scenarios import SCENARIOS


def main(argv: Sequence[str] | None = None) -> None:
    """Run one scenario, updating the report as it goes; it keeps every scenario's last run."""
    asked = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    scenario = SCENARIOS[asked.scenario]
    rivals = {task.rival for task in scenario.tasks}
    unknown = set(asked.only) - rivals
    if unknown:
        raise SystemExit(f"--only {' '.join(sorted(unknown))}: want some of {sorted(rivals)}")
    keep_to_cores()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.out, prefix="work-") as work:
        conduct(
            scenario,
            Path(work).resolve(),
            repeats=asked.repeats or scenario.repeats,
            time_limit=asked.time_limit or scenario.time_limit,
            only=asked.only,
            on_result=lambda result: _publish({asked.scenario: result}, asked.out),
        )
    print((asked.out / "results.md").read_text())
    print(f"{asked.out}: results.json, results.md, plots.html")


def _publish(new: dict[str, Any], out: Path) -> None:
    known = out / "results.json"
    results = (json.loads(known.read_text()) if known.exists() else {}) | new
    known.write_text(json.dumps(results, indent=1))
    (out / "results.md").write_text(as_markdown(results))
    write_plots(results, out / "plots.html")


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:15} {s.what}" for name, s in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=f"Scenarios:\n{scenarios}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="?", default="small", choices=SCENARIOS)
    parser.add_argument("--out", type=Path, default=Path("data/benchmarks"), help="%(default)s")
    parser.add_argument("--repeats", type=int, help="runs of every rival; the median counts")
    parser.add_argument("--time-limit", type=float, help="seconds for what is timed")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these rivals")
    return parser


if __name__ == "__main__":
    main()
