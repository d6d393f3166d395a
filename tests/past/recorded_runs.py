"""Handmade ledgers of runs of the real recipe."""

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
    """Return the config of the tiny pool, which does not exist."""
    return tiny.config_of(NOWHERE, *overrides)


def told(
    config: RunConfig,
    version: int,
    hour: int,
    *events: tuple[str, str],
    stages: tuple[str, ...] | None = None,
) -> list[Event]:
    """Make up a run's events, one per second.

    Parameters
    ----------
    version : of the pool
    stages : the run's stages by the ledger; by default those of its config
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
    """Return the history in these events."""
    return History(events, RECIPE, published or {}, running)
