"""A ledger in memory: the twin of ``jobs.ledger.delta_store``, see ``test_stores``."""

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from jobs.ledger.events import Event


@dataclass
class MemoryStore:
    """What one output root holds; all processes of a test share it.

    Attributes
    ----------
    knows_processes : whether it knows when a holder's process is gone, as local folders do
    knows_version : whether it knows the number of commits; only classic sessions do
    tells : whether a commit reports that it was made; in some sessions it does not
    fails_with : raised by commits of events while it is set
    commits : every commit of events in words, such as ``finished a, started b``
    """

    lease_seconds: float = 60.0
    knows_processes: bool = True
    knows_version: bool = True
    tells: bool = True
    fails_with: BaseException | None = None
    commits: list[str] = field(default_factory=list)
    present: set[str] = field(default_factory=set)
    renewals: dict[str, tuple[int, datetime]] = field(default_factory=dict)  # epoch, expires
    _events: list[Event] = field(default_factory=list)
    _transactions: dict[str, int] = field(default_factory=dict)
    _mutex: threading.RLock = field(default_factory=threading.RLock)

    def read(self, stage_keys: Collection[str] | None = None) -> list[Event]:
        """Return the events of some stage keys, or of all, oldest first."""
        with self._mutex:
            found = [e for e in self._events if stage_keys is None or e.stage_key in stage_keys]
        return sorted(found, key=lambda e: e.at)

    def read_if_few(self, limit: int) -> list[Event] | None:
        """Return all events, without their configs; None if there are more."""
        found = [replace(event, config="") for event in self.read()]
        return found if len(found) <= limit else None

    def version(self) -> int | None:
        """Return the number of commits of events."""
        return len(self.commits) if self.knows_version else None

    def append(
        self, events: Sequence[Event], *, transaction: str | None = None, version: int = 0
    ) -> bool:
        """Add events, unless the transaction has already reached this version."""
        with self._mutex:
            if self.fails_with is not None:
                raise self.fails_with
            if transaction is not None and not self._is_next(transaction, version):
                return False
            self._events += events
            self.commits.append(", ".join(f"{e.event} {e.stage}" for e in events))
            return self.tells

    def renew(self, stage_key: str, holder: str, epoch: int, beat: int, expires: datetime) -> None:
        """Extend a lease until then, replacing the last renewal."""
        with self._mutex:
            if self._is_next(f"{stage_key}/lease/{epoch}", beat):
                self.renewals[stage_key] = epoch, expires

    def renewed_until(self, stage_key: str, epoch: int) -> datetime | None:
        """Return when the last renewal of an attempt expires; None if it has none."""
        of, expires = self.renewals.get(stage_key, (None, None))
        return expires if of == epoch else None

    def forget_renewals(self, stage_key: str) -> None:
        """Delete a stage key's renewals."""
        self.renewals.pop(stage_key, None)

    def presence(self, token: str) -> "MemoryPresence":
        """Show that a holder's process is alive."""
        self.present.add(token)
        return MemoryPresence(self, token)

    def is_gone(self, token: str) -> bool:
        """Return whether a holder's process is known to have ended."""
        return self.knows_processes and token not in self.present

    def _is_next(self, transaction: str, version: int) -> bool:
        if version <= self._transactions.get(transaction, -1):
            return False
        self._transactions[transaction] = version
        return True


@dataclass(frozen=True)
class MemoryPresence:
    """A sign of life in memory."""

    store: MemoryStore
    token: str

    def end(self) -> None:
        """Remove it."""
        self.store.present.discard(self.token)
