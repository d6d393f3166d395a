"""Ledgers made up by hand, of runs of the real recipe."""

import json
from datetime import timedelta
from pathlib import Path

from jobs.config.model import RunConfig, as_public_dict
from jobs.ledger.events import Event
from jobs.past.history import History
from jobs.recipe import RECIPE
from tests.jobs import tiny
from tests.jobs.tiny import GIVEN
from tests.ledger.fake_clock import START

AUTO = ("cluster.levels=auto", "cluster.resampling.rounds=auto")
NOWHERE = Path("/nowhere")


def config_of(*overrides: str) -> RunConfig:
    """Return the config of the tiny pool, which is nowhere."""
    return tiny.config_of(NOWHERE, *overrides)


def told(
    config: RunConfig,
    version: int,
    hour: int,
    *events: tuple[str, str],
    stages: tuple[str, ...] | None = None,
) -> list[Event]:
    """Make up a run's events, one a second.

    Parameters
    ----------
    version : of the pool
    stages : that the ledger says the run has; those of its config unless given
    """
    pool = f"pool@{version}"
    keys, run_id = RECIPE.keys(config, pool), RECIPE.run_id(config, pool)
    named = tuple(stage.name for stage in RECIPE.on(config)) if stages is None else stages
    return [
        Event(
            keys.get(stage, stage), run_id, stage, event,
            START + timedelta(hours=hour, seconds=second), 1, json.dumps(as_public_dict(config)),
            {"pool": pool}, stages=named,
        )
        for second, (stage, event) in enumerate(events)
    ]  # fmt: skip


def whole(config: RunConfig, version: int, hour: int) -> list[Event]:
    """Make up a run that did everything."""
    steps = [(stage, event) for stage in GIVEN for event in ("started", "finished")]
    return told(config, version, hour, *steps)


def history_of(
    events: list[Event],
    published: dict[str, str] | None = None,
    running: frozenset[str] = frozenset(),
) -> History:
    """Return the history that events tell."""
    return History(events, RECIPE, published or {}, running)
