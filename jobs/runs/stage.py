"""A stage, declared once in its own module, and the recipe: the graph that stages form.

Everything done for every stage (keys, the ledger, planning, the report, explaining, verifying,
cleaning, finding out whether a run has finished) folds over these declarations.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jobs.config.identity import Plain, as_before, identity, picked
from jobs.config.model import RunConfig
from jobs.runs.outcomes import Outcome
from jobs.tables.table import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from jobs.runs.run import Run
    from jobs.runs.work import Work

O_co = TypeVar("O_co", bound=Outcome, covariant=True)


def _always(_: RunConfig) -> bool:
    return True


def _nothing(_: RunConfig) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, eq=False)
class Stage(Generic[O_co]):
    """One stage.

    Attributes
    ----------
    version : raised when the same config and input would now give different rows
    command, summary : for the command line: its name, and what it does in one sentence
    after : the stages whose output it builds on
    reads : dotted config keys that shape its rows; only they and ``also_reads`` enter its key
    also_reads : what else shapes its rows but is in no config, such as a plug-in's code; if empty,
        the key is unchanged. Not part of the lineage, just as the stage's version is not
    outcome : what it returns; the ledger keeps it as figures
    work : does the stage's work, within a run
    tables : the tables it writes
    is_on : whether a config turns it on; off, it adds nothing to any key
    resolves : replaces ``auto`` in the config with its outcome. Later stages read the config so
        resolved; its own key, and those of earlier stages, use the config as written
    is_side : no part of a whole run: it is done by its own command, on what the run left, and adds
        nothing to the run's id
    pins : puts the versions of what else it reads, such as tables of its own, into the config
    points : for the stage that makes the points: reads the ids and embeddings it accepted
    turned_away : for a gate: its tables whose ids go no further, ``n_turned_away`` in its outcome,
        if there are any. Every stage that reads points builds on the gates before it, without
        naming them
    shows : for a gate: reads what it turned away, to look at a few: id, beside_id (another id, to
        be seen beside it, or null), reason, detail
    cost : its parts of a plan; see ``jobs.planning``
    report : its rows of the report; see ``jobs.reporting``
    explain : adds what it did with one id to an explanation; see ``jobs.runs.explanation``
    publishes : for the stage whose samples trainers read: row counts by sample, from its outcome.
        The lineage covers what is upstream of it
    """

    name: str
    version: int
    reads: tuple[str, ...]
    outcome: type[O_co]
    work: "Callable[[Work], O_co]"
    command: str | None = None
    summary: str = ""
    after: "tuple[Stage[Any], ...]" = ()
    tables: tuple[Table, ...] = ()
    also_reads: Callable[[RunConfig], Mapping[str, str]] = _nothing
    is_on: Callable[[RunConfig], bool] = _always
    is_side: bool = False
    resolves: Callable[[RunConfig, Any], RunConfig] | None = None
    pins: "Callable[[SparkSession, RunConfig], RunConfig] | None" = None
    points: "Callable[[Run], DataFrame] | None" = None
    turned_away: "Callable[[Run], list[Table]] | None" = None
    shows: "Callable[[Run], DataFrame] | None" = None
    cost: Callable[[Any], Iterable[Any]] | None = None
    report: "Callable[[Run], list[Any]] | None" = None
    explain: "Callable[[Run, Any, Any], Any] | None" = None
    publishes: Callable[[Any], Mapping[str, int]] | None = None

    def key(self, config: Plain, upstream: list[str], also: Mapping[str, str]) -> str:
        """Return a key for its output: a hash of everything that shapes it, and of nothing else.

        Parameters
        ----------
        config : the config's identity
        upstream : the keys that it builds on, or the input's fingerprint
        also : what ``also_reads`` returned
        """
        material = {"stage": self.name, "version": self.version, "upstream": upstream}
        more = {"also": dict(also)} if also else {}
        return hash_of(material | {"config": picked(config, self.reads)} | more)

    def __repr__(self) -> str:
        """Return its name, as messages show it."""
        return self.name


@dataclass(frozen=True, eq=False)
class Recipe:
    """The stages of a whole run, in execution order."""

    stages: tuple[Stage[Any], ...]

    def __post_init__(self) -> None:
        """Reject an order in which a stage comes before one that it builds on."""
        for i, stage in enumerate(self.stages):
            missing = [s.name for s in stage.after if s not in self.stages[:i]]
            if missing:
                raise ValueError(f"stage {stage.name} comes before {missing}, which it builds on")

    def on(self, config: RunConfig) -> list[Stage[Any]]:
        """Return the stages of a whole run that a config, as written, turns on."""
        return [stage for stage in self.stages if stage.is_on(config) and not stage.is_side]

    def beside(self, config: RunConfig) -> list[Stage[Any]]:
        """Return the stages beside a whole run that a config turns on."""
        return [stage for stage in self.stages if stage.is_on(config) and stage.is_side]

    def named(self, name: str) -> Stage[Any] | None:
        """Return the stage of that name; None if this version has none."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table that a stage writes, by name."""
        return {table.name: table for stage in self.stages for table in stage.tables}

    @property
    def publishing(self) -> Stage[Any]:
        """The stage whose samples trainers read."""
        (stage,) = (stage for stage in self.stages if stage.publishes is not None)
        return stage

    def before(self, stage: Stage[Any]) -> tuple[Stage[Any], ...]:
        """Return the stages that run before one; all of them if it is not in the recipe."""
        return self.stages[: self.stages.index(stage)] if stage in self.stages else self.stages

    def upstream(self, stage: Stage[Any]) -> list[Stage[Any]]:
        """Return the stages that one builds on: those it names, and its points' gates."""
        reads_points = any(s.points is not None for s in stage.after)
        gates = [s for s in self.before(stage) if reads_points and s.turned_away is not None]
        return [*stage.after, *(gate for gate in gates if gate not in stage.after)]

    def earliest(
        self,
        stages: Iterable[Stage[Any]],
        config: RunConfig,
        has_finished: Callable[[Stage[Any]], bool],
    ) -> Stage[Any] | None:
        """Return the stage to do first, so that others have all been done; None if they have."""
        on = [stage for stage in self.stages if stage.is_on(config)]
        missing = {stage for stage in stages if stage in on and not has_finished(stage)}
        missing.update(*map(self.all_upstream, missing))
        return next((s for s in on if s in missing and not has_finished(s)), None)

    def all_upstream(self, stage: Stage[Any]) -> set[Stage[Any]]:
        """Return every stage that one builds on, directly or not."""
        found = set(direct := self.upstream(stage))
        return found.union(*map(self.all_upstream, direct))

    def keys(
        self, written: RunConfig, fingerprint: str, *, resolved: RunConfig | None = None
    ) -> dict[str, str]:
        """Return every stage's key by name, including stages that are off, except side stages.

        A value that a stage put in place of ``auto`` enters later keys as if it had been written,
        so writing or choosing the same value again finds the same output.

        Parameters
        ----------
        written : the config as written
        fingerprint : fingerprint of the input; see ``jobs.pool.inputs.Pool``
        resolved : the config once nothing is left to ``auto``; None before that
        """
        as_written, as_resolved = identity(written), identity(resolved or written)
        is_on = {stage.name for stage in (*self.on(written), *self.beside(written))}
        keys: dict[str, str] = {}
        for stage in self.stages:
            if stage.is_side and not stage.is_on(written):
                continue
            upstream = [keys[s.name] for s in self.upstream(stage) if s.name in is_on]
            config = as_written if stage.resolves else as_resolved
            also = stage.also_reads(written)
            keys[stage.name] = stage.key(config, upstream or [fingerprint], also)
        return keys

    def run_id(self, written: RunConfig, fingerprint: str) -> str:
        """Return a run's id: a hash of the keys of its stages."""
        keys, is_on = self.keys(written, fingerprint), {s.name for s in self.on(written)}
        return hash_of(sorted((name, key) for name, key in keys.items() if name in is_on))

    def lineage(self, written: RunConfig) -> str:
        """Return a hash of the config behind a published sample, whatever the input's version."""
        upstream = self.all_upstream(self.publishing)
        before = [stage for stage in self.on(written) if stage in upstream]
        read = picked(identity(written), [path for stage in before for path in stage.reads])
        return hash_of({"stage": "lineage", "version": 1, "config": read, "upstream": []})

    def lineages(self, written: RunConfig) -> set[str]:
        """Return the lineages that a config continues: its own, and that of an earlier version.

        A config that leaves out a key whose default has changed has another lineage now, and must
        not lose its published sample because of that.
        """
        return {self.lineage(written), self.lineage(as_before(written))}

    def resolved(self, written: RunConfig, figures: Mapping[str, Mapping[str, float]]) -> RunConfig:
        """Return the config with ``auto`` replaced by what stages chose.

        Parameters
        ----------
        figures : figures of finished stages, by name
        """
        config = written
        for stage in self.on(written):
            if stage.resolves is not None and stage.name in figures:
                config = stage.resolves(config, stage.outcome.of(figures[stage.name]))
        return config

    def with_stages(self, *stages: Stage[Any]) -> "Recipe":
        """Return the recipe with more stages at its end."""
        return replace(self, stages=(*self.stages, *stages))


def hash_of(material: Any) -> str:
    """Hash canonical JSON: sorted keys, floats as decimal text without an exponent."""
    text = json.dumps(_canonical(material), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.12f}"
    if isinstance(value, dict):
        return {str(k): _canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(v) for v in value]
    return value
