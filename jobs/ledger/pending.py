"""Events that are not in the store yet."""

from collections.abc import Callable
from dataclasses import dataclass

from jobs.ledger.events import Event


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Pending:
    """An event not in the store yet, and what to do once it is, or if it cannot be."""

    event: Event
    then: Callable[[], None] = nothing
    otherwise: Callable[[], None] = nothing
