"""What a long computation has reached, so that it can go on from there in another process.

A computation is nested: a tree has levels, a level rounds, a round iterations. Each depth keeps one
state, arrays by name; saving a state forgets those of its parts, which it has outrun. All state is
exact, so that what goes on ends as what was never stopped.
"""

from collections.abc import Mapping
from typing import Any

State = Mapping[str, Any]  # arrays by name; what was no array comes back as one without dimensions


class Journal:
    """One depth's page in a journal; this one keeps nothing."""

    def load(self) -> State | None:
        """Return the state that was kept last; None at the beginning."""
        return None

    def save(self, **state: object) -> None:
        """Keep a state: arrays, numbers or texts by name; big integers as texts."""

    def parts(self) -> "Journal":
        """Return the page of this computation's parts, of which one is under way at a time."""
        return self


NO_JOURNAL = Journal()
