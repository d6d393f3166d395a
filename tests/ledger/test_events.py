"""What a stage key's events mean: which attempt finished it, and what undoes that."""

import pytest

from jobs.ledger.events import is_open, last_attempt, last_finished
from jobs.past.history import History
from jobs.recipe import RECIPE
from tests.ledger.stories import events_of


@pytest.mark.parametrize(
    ("story", "finished_by", "state"),
    [
        ("started1", None, "started"),
        ("started1 failed1 started2 finished2", 2, "finished"),
        ("started1 finished1 reused1", 1, "finished"),
        ("started1 finished1 cleaned1", None, "cleaned"),
        ("started1 finished1 cleaned1 started2", None, "started"),
        ("started1 finished1 cleaned1 started2 finished2", 2, "finished"),
        ("cleaned1 started1 finished1", 1, "finished"),  # a refresh of something that had never run
        # cleaned while it was running: what it wrote before is gone
        ("started1 cleaned1 finished1", None, "cleaned"),
        ("started1 failed1 started2 cleaned1 finished2", 2, "finished"),
        ("started1 failed1 started2 cleaned1 cleaned2 finished2", None, "cleaned"),
        # a process that lost its lease wakes up late
        ("started1 started2 finished2 failed1 cleaned1", 2, "finished"),
        ("started1 started2 finished1", 1, "finished"),
        ("started1 started2 cleaned1 finished2", 2, "finished"),
    ],
)
def test_an_attempt_finishes_a_stage_key_unless_it_was_cleaned_since_it_began(
    story: str, finished_by: int | None, state: str
) -> None:
    events = events_of(story)
    found = last_finished(events)
    assert (found and found.attempt) == finished_by
    assert History(events, RECIPE, {}).state_of_key("key") == state


@pytest.mark.parametrize(
    ("story", "is_at_it"),
    [
        ("started1", True),
        ("started1 failed1", False),
        ("started1 cleaned1", False),
        ("started1 started2 failed1", True),
        ("started1 started2 finished2", False),
    ],
)
def test_an_attempt_is_open_until_its_own_end(story: str, is_at_it: bool) -> None:
    assert is_open(events_of(story)) == is_at_it
    assert last_attempt(events_of(story)) == int(max(word[-1] for word in story.split()))
