"""A run as the ledger recorded it."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from jobs.config.errors import ConfigError
from jobs.config.loading import parse_recorded
from jobs.config.model import RunConfig
from jobs.ledger.events import Event
from jobs.runs.stage import Recipe

_ENDS = ("finished", "reused")
_LAST = "report_curation"  # the last stage of any run whose ledger does not list its stages


@dataclass(frozen=True)
class RecordedRun:
    """The ledger's record of one ``run_id``: its events, oldest first; at least one attempt.

    Attributes
    ----------
    recipe_now : this version's recipe; the run may have used another
    """

    run_id: str
    events: tuple[Event, ...]
    recipe_now: Recipe

    @cached_property
    def attempts(self) -> list[Event]:
        """Its events, except ``cleaned`` ones."""
        return [e for e in self.events if e.event != "cleaned"]

    @property
    def last(self) -> Event:
        """Its latest event."""
        return self.attempts[-1]

    @cached_property
    def stages(self) -> dict[str, Event]:
        """The latest event of every stage it reached, in recipe order."""
        latest = {e.stage: e for e in self.attempts}
        order = [stage.name for stage in self.recipe_now.stages]
        known = [name for name in order if name in latest]
        return {name: latest[name] for name in [*known, *sorted(set(latest) - set(known))]}

    @cached_property
    def own(self) -> dict[str, Event]:
        """The ``stages`` that are the run: not those done beside it, each by its own command."""
        return {name: e for name, e in self.stages.items() if name not in self._names_beside}

    @cached_property
    def beside(self) -> list[Event]:
        """The latest event of every stage key beside the run, such as a round's, oldest first."""
        latest = {e.stage_key: e for e in self.attempts if e.stage in self._names_beside}
        return sorted(latest.values(), key=lambda e: e.at)

    @cached_property
    def _names_beside(self) -> set[str]:
        return {stage.name for stage in self.recipe_now.stages if stage.is_side}

    @cached_property
    def _last_ends(self) -> list[Event]:
        """The events of the run's last stages; empty while one of them is missing.

        The stages that one builds on ended before it: a lone ``evenlake report`` records no others.
        """
        names = self.last.stages or (_LAST,)
        known = [s for name in names if (s := self.recipe_now.named(name)) is not None]
        on_the_way = {s.name for stage in known for s in self.recipe_now.all_upstream(stage)}
        on_the_way |= {s.name for s in known[:-1] if s.resolves is not None}
        needed = [name for name in names if name not in on_the_way]
        found = [self.stages[name] for name in needed if name in self.stages]
        return found if len(found) == len(needed) else []

    @property
    def is_between(self) -> bool:
        """Whether it is between stages: one has ended, and another is still to come."""
        return self.last.event in _ENDS and self.state == "unfinished"

    @property
    def state(self) -> str:
        """``finished``, ``failed`` or ``unfinished``, whatever was done beside it."""
        broken = [e for e in self.own.values() if e.event not in _ENDS]
        if broken:
            worst = max(broken, key=lambda e: e.at)
            return "failed" if worst.event == "failed" else "unfinished"
        return "finished" if self._last_ends else "unfinished"

    @property
    def finished_at(self) -> datetime:
        """When a finished run last ended."""
        return max(e.at for e in self._last_ends)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The config as recorded, with secrets blanked."""
        return dict(json.loads(self.last.config))

    @cached_property
    def config(self) -> RunConfig | None:
        """The recorded config; None if another version wrote it and this one cannot read it."""
        try:
            return parse_recorded(self.recipe)
        except ConfigError:
            return None

    @cached_property
    def lineages(self) -> set[str]:
        """The lineages that it continues; empty if its own is unknown."""
        if self.config is None or self.lineage is None:
            return set()
        return self.recipe_now.lineages(self.config)

    @cached_property
    def lineage(self) -> str | None:
        """Return the lineage of its config; None if a blanked value may have made a difference."""
        if self.config is None:
            return None
        given = self.config.input.model_dump(mode="json")
        texts = [*given.pop("options").values(), *map(str, given.values())]
        if any("***" in text.replace("://***@", "") and text != "***" for text in texts):
            return None
        return self.recipe_now.lineage(self.config)
