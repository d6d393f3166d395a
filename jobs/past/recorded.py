"""A run as the ledger recorded it."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from jobs.config.errors import ConfigError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.runs.events import Event
from jobs.runs.keys import STAGES, lineage

LAST_STAGE = STAGES[-1]
ENDS = ("finished", "reused")


@dataclass(frozen=True)
class RecordedRun:
    """What the ledger says of one ``run_id``: its events, oldest first; at least one attempt."""

    run_id: str
    events: tuple[Event, ...]

    @cached_property
    def attempts(self) -> list[Event]:
        """Its events, but for those of cleaning."""
        return [e for e in self.events if e.event != "cleaned"]

    @property
    def last(self) -> Event:
        """The latest thing it did."""
        return self.attempts[-1]

    @cached_property
    def stages(self) -> dict[str, Event]:
        """The latest event of every stage that it came to, in the stages' order."""
        latest = {e.stage: e for e in self.attempts}
        return {stage: latest[stage] for stage in STAGES if stage in latest}

    @property
    def state(self) -> str:
        """``finished``, ``failed`` or ``unfinished``."""
        broken = [e for e in self.stages.values() if e.event not in ENDS]
        if broken:
            worst = max(broken, key=lambda e: e.at)
            return "failed" if worst.event == "failed" else "unfinished"
        return "finished" if LAST_STAGE in self.stages else "unfinished"

    @property
    def finished_at(self) -> datetime:
        """When a finished run last came to its end."""
        return self.stages[LAST_STAGE].at

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The config as recorded, its secrets blanked."""
        return dict(json.loads(self.last.config))

    @cached_property
    def config(self) -> RunConfig | None:
        """The recorded config; None where another version of the code wrote it."""
        try:
            return parse_config(self.recipe)
        except ConfigError:
            return None

    @cached_property
    def lineage(self) -> str | None:
        """The lineage of its config; None where what was blanked may have made a difference."""
        if self.config is None:
            return None
        given = self.config.input.model_dump(mode="json")
        texts = [*given.pop("options").values(), *map(str, given.values())]
        if any("***" in text.replace("://***@", "") and text != "***" for text in texts):
            return None
        return lineage(self.config)
