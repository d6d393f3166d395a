"""Events written as words, for tests of how the ledger reads them."""

from datetime import timedelta

from jobs.ledger.events import Event
from tests.ledger.fake_clock import START


def events_of(story: str) -> list[Event]:
    """Make the events of one stage key from words such as ``finished2``, one per second."""
    return [
        Event("key", "run", "embed_pool", word[:-1], at, int(word[-1]), "{}", {})
        for i, word in enumerate(story.split())
        if (at := START + timedelta(seconds=i))
    ]
