"""Two runs side by side: what they were asked, what they share, how their samples differ."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.past.history import History
from jobs.past.recorded import RecordedRun
from jobs.reporting.numbers import human
from jobs.tables.lake import Lake
from jobs.tables.shared import REPORT
from jobs.tables.table import KEY

_SAID = ("size", "coverage", "communities", "labels")  # sections that the text covers
_NONE = "–"


@dataclass(frozen=True)
class Change:
    """Something that the runs have in common by name; None where one has none of it."""

    name: str
    before: str | None
    after: str | None

    @property
    def is_same(self) -> bool:
        """Whether both have the same."""
        return self.before == self.after

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.name}: {self.before or _NONE} → {self.after or _NONE}"


@dataclass(frozen=True)
class Overlap:
    """A sample of both runs: its points in each, and those in both."""

    sample: str
    n_before: int
    n_after: int
    n_both: int

    def __str__(self) -> str:
        """Return it as one line."""
        least = max(1, min(self.n_before, self.n_after))
        return (
            f"{self.sample}: {self.n_before:,} → {self.n_after:,} points, {self.n_both:,} in both "
            f"({self.n_both / least:.1%} of the smaller)"
        )


@dataclass(frozen=True)
class Figure:
    """A figure of both reports; None where one lacks it."""

    sample: str | None
    section: str
    level: int | None
    metric: str
    before: float | None
    after: float | None

    @property
    def name(self) -> str:
        """What it measures."""
        level = "" if self.level is None else f" of level {self.level}"
        return f"{self.sample or 'pool'}: {self.section} {self.metric.replace('_', ' ')}{level}"

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.name}: {human(self.before)} → {human(self.after)}"


@dataclass(frozen=True)
class Comparison:
    """Two runs; as text, what differs.

    Attributes
    ----------
    runs : their ids, the earlier one first
    config, inputs : only what differs
    stages : keys by stage; the same key means the same rows
    figures : only those that differ
    """

    runs: tuple[str, str]
    config: list[Change]
    inputs: list[Change]
    stages: list[Change]
    samples: list[Overlap]
    figures: list[Figure]

    @property
    def sections(self) -> list[tuple[str, list[str]]]:
        """Its parts by title, as lines."""
        shared = [stage.name for stage in self.stages if stage.is_same]
        apart = [str(stage) for stage in self.stages if not stage.is_same]
        return [
            ("inputs that differ", [str(change) for change in self.inputs]),
            ("config that differs", [str(change) for change in self.config]),
            ("stages with the same rows", [", ".join(shared)] if shared else []),
            ("stages with other rows", apart),
            ("samples", [str(sample) for sample in self.samples]),
            ("figures that differ", [str(f) for f in self.figures if self._is_told(f)]),
        ]

    def _is_told(self, figure: Figure) -> bool:
        """Whether a figure is one of the main ones, of the pool or of a sample of both runs."""
        shared = {None, *(sample.sample for sample in self.samples)}
        return figure.section in _SAID and figure.sample in shared

    def __str__(self) -> str:
        """Return its parts, each line below its title."""
        lines = [f"{self.runs[0]} → {self.runs[1]}"]
        for title, said in self.sections:
            lines += [f"{title}:", *(f"  {line}" for line in said or ["none"])]
        return "\n".join(lines)


def compare(lake: Lake, history: History, before: RecordedRun, after: RecordedRun) -> Comparison:
    """Compare two runs of a root, in two queries: one of their samples, one of their reports."""
    mine, theirs = (
        {sample.get("name") for sample in run.recipe.get("samples", [])} for run in (before, after)
    )
    flat = (dict(_flat(_summed_up(run.recipe, mine ^ theirs))) for run in (before, after))
    keys = ({name: event.stage_key for name, event in run.own.items()} for run in (before, after))
    stages = _changes(*keys)
    return Comparison(
        runs=(before.run_id, after.run_id),
        config=[change for change in _changes(*flat) if not change.is_same],
        inputs=[c for c in _changes(before.last.inputs, after.last.inputs) if not c.is_same],
        stages=stages,
        samples=_overlaps(lake, history, stages),
        figures=_figures(lake, history, stages),
    )


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    names = [*before, *(name for name in after if name not in before)]
    return [Change(name, before.get(name), after.get(name)) for name in names]


def _summed_up(recipe: Mapping[str, Any], alone: Collection[str]) -> dict[str, Any]:
    """Return a config whose samples that only one run has are one line each: their sizes."""
    samples = [
        {"name": s["name"], "target_size": s.get("target_size")} if s.get("name") in alone else s
        for s in recipe.get("samples", [])
    ]
    return {**recipe, "samples": samples}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys of a config with their values as text; samples by their names."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = {str(item.get("name", i)): item for i, item in enumerate(value)}
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


def _pair(history: History, stages: list[Change], stage: str) -> tuple[str, str] | None:
    """Return a stage's two keys, if both runs finished it and nothing was cleaned since."""
    for change in stages:
        if change.name == stage and change.before is not None and change.after is not None:
            pair = (change.before, change.after)
            return pair if all(history.finished(key) is not None for key in pair) else None
    return None


def _overlaps(lake: Lake, history: History, stages: list[Change]) -> list[Overlap]:
    """Count the points of samples that both runs have."""
    drawing = history.recipe.publishing
    pair = _pair(history, stages, drawing.name)
    if pair is None:
        return []
    (table,) = (table for table in drawing.tables if table.name == "samples")

    def points(key: str, name: str) -> DataFrame:
        mine = lake.read(table, key).where(F.col("replica") == 0)
        return mine.select("sample", F.col("id").cast("string").alias("id"), F.lit(1).alias(name))

    both = points(pair[0], "before").join(points(pair[1], "after"), on=["sample", "id"], how="full")
    counts = (F.count("before"), F.count("after"), F.count(F.col("before") + F.col("after")))
    rows = both.groupBy("sample").agg(*counts).orderBy("sample").collect()
    return [Overlap(*row) for row in rows if row[1] and row[2]]


def _figures(lake: Lake, history: History, stages: list[Change]) -> list[Figure]:
    """Return the figures that differ, in the order of the reports."""
    stages_of = [s.name for s in history.recipe.stages if REPORT in s.tables and not s.is_side]
    pairs = [pair for name in stages_of if (pair := _pair(history, stages, name)) is not None]
    sides = {key: side for pair in pairs if pair[0] != pair[1] for side, key in enumerate(pair)}
    if not sides:
        return []
    name = ("sample", "section", "level", "metric")
    plain = F.col("key").isNull() & F.col("x").isNull() & F.col(KEY).isin(*sides)
    rows = lake.read(REPORT).where(plain).select(KEY, *name, "value").collect()
    found: dict[tuple[str | None, str, int | None, str], dict[int, float]] = {}
    for row in rows:
        of = (row.sample, row.section, row.level, row.metric)
        found.setdefault(of, {})[sides[row[KEY]]] = row.value
    figures = [Figure(*of, values.get(0), values.get(1)) for of, values in found.items()]
    order = sorted(figures, key=lambda f: (f.sample or "", f.section, f.level or 0, f.metric))
    return [figure for figure in order if human(figure.before) != human(figure.after)]
