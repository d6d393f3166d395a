"""Runs for people to read: a list as key=value lines or a table, and one run in full."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import yaml
from rich.table import Table
from rich.text import Text

from jobs.ledger.events import Event
from jobs.past.history import History
from jobs.past.recorded import RecordedRun

# Figures of the report that show how good a sample is.
_HEADLINES = (
    "coverage.coverage_gap",
    "coverage.effective_nodes",
    "coverage.effective_nodes.control",
)


@dataclass(frozen=True)
class RunList:
    """The runs of a root; as text, one line of key=value each, the newest first."""

    history: History

    def __str__(self) -> str:
        """Return the lines."""
        return "\n".join(pairs(self._facts(run)) for run in self.history.runs)

    def _facts(self, run: RecordedRun) -> dict[str, str]:
        facts = {
            "run_id": run.run_id,
            "at": _time(run.last.at),
            "state": self.history.state_of(run),
        }
        facts |= {stage: _outcome(self.history, e) for stage, e in run.stages.items()}
        facts |= {
            f"{s}.{k}": v for s, figures in headlines(run).items() for k, v in figures.items()
        }
        return facts | {"published": ",".join(published_by(self.history, run)) or "-"}

    def table(self) -> Table:
        """Return the list as a table for the terminal."""
        table = Table(title="Runs", title_justify="left")
        for name in ("run", "last event (UTC)", "state", "stages", "samples"):
            table.add_column(name, overflow="fold")
        for run in self.history.runs:
            stages = [f"{s} {_outcome(self.history, e)}" for s, e in run.stages.items()]
            table.add_row(
                run.run_id,
                f"{run.last.at:%Y-%m-%d %H:%M}",
                self.history.state_of(run),
                "\n".join(stages),
                Text("\n".join(self._samples(run))),
            )
        return table

    def _samples(self, run: RecordedRun) -> list[str]:
        now = published_by(self.history, run)
        return [
            f"{sample} {pairs(figures)}{' published' if sample in now else ''}"
            for sample, figures in headlines(run).items()
        ]


def headlines(run: RecordedRun) -> dict[str, dict[str, str]]:
    """Return every sample's size, and its headline figures once there is a report."""
    recorded = {name: value for e in run.stages.values() for name, value in e.metrics.items()}
    publishing = run.recipe_now.publishing
    sizes: dict[str, int] = {}
    if publishing.name in run.stages and publishing.publishes is not None:
        drawn = run.stages[publishing.name].metrics
        sizes = dict(publishing.publishes(publishing.outcome.of(drawn)))
    found = {}
    for name in (str(sample["name"]) for sample in run.recipe.get("samples", [])):
        figures: dict[str, float | None] = {"n_rows": sizes.get(name)}
        for headline in _HEADLINES:
            figures[headline.removeprefix("coverage.")] = recorded.get(f"{name}.{headline}")
        known = {k: _number(float(v)) for k, v in figures.items() if v is not None}
        if known:
            found[name] = known
    return found


def published_by(history: History, run: RecordedRun) -> list[str]:
    """Return the samples that are published now and come from this run."""
    return [sample for sample, run_id in history.published.items() if run_id == run.run_id]


def describe_run(history: History, run: RecordedRun) -> str:
    """Return one run in full: identity, keys, digests, every event, the config."""
    inputs = {f"input.{name}": version for name, version in run.last.inputs.items()}
    facts = {
        "run_id": run.run_id,
        "state": history.state_of(run),
        "lineage": run.lineage or "unknown",
        "is_superseded": str(history.is_superseded(run)).lower(),
        "published": ",".join(published_by(history, run)) or "-",
    }
    lines = [pairs({name: value}) for name, value in (facts | inputs).items()]
    ends = [*run.own.values(), *run.beside]
    lines += [
        pairs({"stage": e.stage, "key": e.stage_key, "outcome": _outcome(history, e)}) for e in ends
    ]
    for event in ends:
        finished = history.finished(event.stage_key)
        for table, digest in sorted(finished.digests.items()) if finished else ():
            lines.append(pairs({"stage": event.stage, "table": table, "digest": digest}))
    lines += map(_event_line, run.events)
    return "\n".join([*lines, "config:", _indented(run)])


def _event_line(e: Event) -> str:
    """Return an event as one line, its figures at the end."""
    facts = {"at": _time(e.at), "stage": e.stage, "event": e.event, "attempt": str(e.attempt)}
    notes = {"notes": e.notes} if e.notes else {}
    figures = {name: _number(value) for name, value in sorted(e.metrics.items())}
    return pairs(facts | {"key": e.stage_key, "code_version": e.code_version} | notes | figures)


def _indented(run: RecordedRun) -> str:
    text = yaml.safe_dump(run.recipe, sort_keys=False, allow_unicode=True)
    return "\n".join(f"  {line}" for line in text.splitlines())


def _outcome(history: History, e: Event) -> str:
    """Return how a stage ended: its seconds, or what became of it."""
    if history.state_of_key(e.stage_key) == "cleaned":
        return "cleaned"
    return f"{e.metrics.get('seconds', 0.0):.1f}s" if e.event == "finished" else e.event


def pairs(facts: Mapping[str, str]) -> str:
    """Return key=value pairs; values with spaces or unprintable characters are quoted as JSON."""
    return " ".join(
        f"{k}={v if v.isprintable() and ' ' not in v else json.dumps(v)}" for k, v in facts.items()
    )


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else f"{value:.6g}"
