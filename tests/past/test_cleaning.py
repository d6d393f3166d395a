"""Which rows may be deleted, decided from events alone."""

from datetime import timedelta

import pytest

from jobs.ledger.events import Event
from jobs.past.cleaning import keys_in_use, reasons_to_go
from jobs.past.history import History
from jobs.recipe import RECIPE
from tests.jobs.tiny import CLUSTER, EMBED, GIVEN, REPORT
from tests.past.recorded_runs import config_of, history_of, told, whole

DAY = timedelta(days=1)


def keys(version: int = 0, *overrides: str) -> dict[str, str]:
    return RECIPE.keys(config_of(*overrides), f"pool@{version}")


def gone(events: list[Event], *, after: timedelta = DAY, older_than: timedelta = DAY) -> set[str]:
    """Return the stage keys to delete, that long after the last event."""
    now = events[-1].at + after
    return set(reasons_to_go(history_of(events), older_than=older_than, now=now))


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (["started"], "started"),
        (["started", "failed"], "failed"),
        (["started", "finished", "cleaned"], "cleaned"),
        (["started", "finished"], None),
        (["started", "finished", "reused"], None),
    ],
)
def test_rows_of_what_is_not_finished_may_go(events: list[str], why: str | None) -> None:
    story = told(config_of(), 0, 0, *((CLUSTER, event) for event in events))
    now = story[-1].at + DAY
    found = reasons_to_go(history_of(story), older_than=DAY, now=now)
    assert found == ({} if why is None else {keys()[CLUSTER]: why})


def test_a_superseded_run_goes_once_it_is_old_enough() -> None:
    events = whole(config_of(), 0, 0) + whole(config_of(), 1, 1)
    assert gone(events, after=timedelta(), older_than=DAY) == set()
    assert gone(events, after=DAY, older_than=DAY) == {keys(0)[stage] for stage in GIVEN}


def test_what_a_kept_run_stands_on_stays() -> None:
    labelled = config_of("report.label=label")
    reused = [(stage, "reused") for stage in GIVEN[:-1]]
    later = told(labelled, 0, 1, *reused, (REPORT, "started"), (REPORT, "finished"))
    events = whole(config_of(), 0, 0) + later
    assert gone(events) == {keys()[REPORT]}
    alone = whole(config_of(), 0, 0) + later[-2:]  # a lone report names no stage before it
    assert gone(alone) == {keys()[REPORT]}


def in_use(history: History, after: timedelta) -> set[str]:
    now = history.events[-1].at + after
    return keys_in_use(history, reasons_to_go(history, older_than=DAY, now=now), now)


def test_a_run_that_may_be_between_two_stages_is_left_alone() -> None:
    history = history_of(told(config_of(), 0, 0, (EMBED, "started"), (EMBED, "finished")))
    assert {keys()[stage] for stage in GIVEN} <= in_use(history, timedelta(minutes=59))
    assert in_use(history, timedelta(minutes=61)) == set()


def test_a_stage_that_a_process_is_at_is_left_alone() -> None:
    events = told(config_of(), 0, 0, (CLUSTER, "started"))
    history = history_of(events, running=frozenset({keys()[CLUSTER]}))
    assert keys()[CLUSTER] in in_use(history, DAY)
    assert in_use(history_of(events), DAY) == set()


def test_what_a_refresh_has_just_cleaned_is_left_alone() -> None:
    history = history_of(told(config_of(), 0, 0, (EMBED, "failed"), (EMBED, "cleaned")))
    assert in_use(history, timedelta(minutes=59)) == {keys()[EMBED]}
    assert in_use(history, timedelta(minutes=61)) == set()
