"""Events told in words, for tests of what the ledger makes of them."""

from datetime import timedelta

from jobs.ledger.events import Event
from tests.ledger.fake_clock import START


def events_of(story: str) -> list[Event]:
    """Make up the events of one stage key from words such as ``finished2``, one a second."""
    return [
        Event("key", "run", "embed_pool", word[:-1], at, int(word[-1]), "{}", {})
        for i, word in enumerate(story.split())
        if (at := START + timedelta(seconds=i))
    ]
