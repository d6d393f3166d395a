"""A plan for people to read: a table, one sentence, log lines, or plain data."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from jobs.judging.recommendation import Recommendation
from jobs.planning.advice import warnings
from jobs.planning.costs import Priced, estimate
from jobs.planning.limits import refusals, tight_containers, tight_heap, tight_workers
from jobs.planning.machine import GIB, Machine
from jobs.planning.problem import Part, Problem

if TYPE_CHECKING:  # shown on a terminal only, and notebooks may lack it
    from rich.table import Table

_MIB = 2**20


@dataclass(frozen=True)
class Plan:
    """What a run would take; every figure is an estimate.

    Attributes
    ----------
    refusals : why it cannot run; empty if it can
    advice : whether to curate, a sample each; empty if the pool is not embedded yet
    """

    problem: Problem
    machine: Machine
    parts: list[Part]
    warnings: list[str]
    refusals: list[str]
    advice: Sequence[Recommendation] = ()

    @property
    def seconds(self) -> float:
        """The whole run's duration."""
        return sum(part.seconds for part in self.parts)

    def peak(self, process: str) -> float:
        """Return the peak bytes of ``worker``, ``driver`` or ``jvm``."""
        return float(max(getattr(part, process) for part in self.parts))

    @property
    def figures(self) -> dict[str, float]:
        """The whole run's figures: bytes, seconds, FLOPs."""
        peaks = {f"peak_{name}": self.peak(name) for name in ("worker", "driver", "jvm")}
        sums = {n: sum(getattr(p, n) for p in self.parts) for n in ("flops", "shipped", "shuffled")}
        sizes = {"n_points": self.problem.n_points, "n_features": self.problem.n_features}
        return sizes | {"seconds": self.seconds} | peaks | sums

    def __str__(self) -> str:
        """Return the estimate in one sentence, then the advice and the warnings."""
        summary = (
            f"estimate: {time_of(self.seconds)} for {self.problem.n_points} points of "
            f"{self.problem.n_features} on {self.machine.n_slots} slots; at most "
            f"{self.peak('worker') / GIB:.1f} GiB in a Python worker, "
            f"{self.peak('driver') / GIB:.1f} in the driver's Python, "
            f"{self.peak('jvm') / GIB:.1f} in the JVM"
        )
        advice = [f"advice for {found}" for found in self.advice]
        return "\n".join([summary, *advice, *(f"warning: {text}" for text in self.warnings)])

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain data; bytes, seconds, FLOPs."""
        sizes = asdict(self.machine)
        machine = {name: None if v == math.inf else v for name, v in sizes.items()}  # not in JSON
        parts = [asdict(part) for part in self.parts]
        advice = [r._asdict() for r in self.advice]
        found = {"warnings": self.warnings, "refusals": self.refusals, "advice": advice}
        return {"plan": {"estimate": self.figures, "machine": machine, "parts": parts} | found}

    def lines(self) -> list[str]:
        """Return each part as one line of key=value."""
        return [
            " ".join(f"{k}={_short(v)}" for k, v in asdict(part).items() if v is not None)
            for part in self.parts
        ]

    def table(self) -> "Table":
        """Return the parts as a table for the terminal."""
        from rich.table import Table

        table = Table(title="Plan (estimates)", title_justify="left")
        table.add_column("stage")
        table.add_column("part")
        names = ("blocks", "passes", "GFLOP", "shipped", "shuffled", "worker", "driver", "JVM")
        for name in (*names, "time"):
            table.add_column(name, justify="right")
        previous = ""
        for p in self.parts:
            sizes = (p.shipped, p.shuffled, p.worker, p.driver, p.jvm)
            table.add_row(
                p.stage if p.stage != previous else "",
                f"{p.part} {p.level}" if p.level else p.part,
                str(p.blocks),
                f"{p.n_passes:.1f}",
                f"{p.flops / 1e9:.0f}",
                *(size_of(size) for size in sizes),
                time_of(p.seconds),
            )
            previous = p.stage
        return table


def make_plan(problem: Problem, machine: Machine, stages: Sequence[Priced]) -> Plan:
    """Plan a run; the plan also says whether it fits."""
    parts = estimate(problem, machine, stages)
    tight = [check(parts, machine) for check in (tight_heap, tight_containers, tight_workers)]
    warned = warnings(problem) + sum(tight, [])
    return Plan(problem, machine, parts, warned, refusals(problem, parts, machine))


def size_of(n_bytes: float) -> str:
    """Format bytes as MiB or GiB."""
    if n_bytes < _MIB:
        return "-"
    return f"{n_bytes / GIB:.1f} GiB" if n_bytes >= GIB else f"{n_bytes / _MIB:.0f} MiB"


def time_of(seconds: float) -> str:
    """Format seconds as seconds, minutes or hours."""
    if seconds < 300:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
