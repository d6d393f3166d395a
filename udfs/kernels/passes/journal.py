"""How far a long computation has got, so that another process can resume it.

A computation is nested: a tree has levels, a level rounds, a round iterations. Each depth keeps one
state, arrays by name; saving a state drops those of its parts, which are now out of date. All state
is exact, so a resumed computation ends exactly as if it had never stopped.
"""

from collections.abc import Mapping
from typing import Any

State = Mapping[str, Any]  # arrays by name; scalars and texts come back as 0-d arrays


class Journal:
    """One depth's page in a journal; this one keeps nothing."""

    def load(self) -> State | None:
        """Return the state saved last; None at the beginning."""
        return None

    def save(self, **state: object) -> None:
        """Save a state: arrays, numbers or texts by name; big integers as texts."""

    def parts(self) -> "Journal":
        """Return the page for this computation's parts, which run one at a time."""
        return self


NO_JOURNAL = Journal()
