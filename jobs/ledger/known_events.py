"""What a run knows of the ledger: read once, and again only if others have written to it."""

from collections.abc import Collection, Sequence

from jobs.ledger.events import Event, EventStore

FEW_EVENTS = 5000  # ledgers up to this size are read whole, once


class KnownEvents:
    """The events of some stage keys that were read or added so far.

    Attributes
    ----------
    events : stage key -> its events, oldest first
    """

    def __init__(self, store: EventStore) -> None:
        self.events: dict[str, list[Event]] = {}
        self._store = store
        self._version: int | None = None  # of the store when last read or written
        self._whole: list[Event] | None = None  # the whole ledger as of opening

    def open(self, stage_keys: Collection[str]) -> list[Event] | None:
        """Read the events of some stage keys; return the whole ledger if it is small."""
        self._version = self._store.version()
        self._whole = self._store.read_if_few(FEW_EVENTS)
        if self._whole is None:
            self._learn(stage_keys, self._store.read(stage_keys))
        else:
            self._learn(stage_keys, self._whole)
        return self._whole

    def read(self, stage_keys: Collection[str]) -> None:
        """Read the events of some stage keys, and reread those of all known ones."""
        known, version = {*self.events, *stage_keys}, self._store.version()
        self._learn(known, self._store.read(known))
        self._version, self._whole = version, None

    def read_again(self, stage_key: str) -> None:
        """Reread the events of one stage key."""
        self._learn([stage_key], self._store.read([stage_key]))

    def is_current(self, stage_keys: Collection[str] = ()) -> bool:
        """Return whether stage keys are known, and nobody else has written to the store since."""
        is_known = self.events.keys() >= set(stage_keys)
        return is_known and self._version is not None and self._version == self._store.version()

    def looks_up(self, stage_key: str) -> bool:
        """Return whether a stage key is known, or can be taken from the ledger as opened."""
        if stage_key not in self.events:
            if self._whole is None or not self.is_current():
                return False
            self._learn([stage_key], self._whole)
        return True

    def append(self, events: Sequence[Event], *, transaction: str | None, version: int) -> bool:
        """Add events to the store, and keep its version up to date."""
        is_added = self._store.append(events, transaction=transaction, version=version)
        if is_added and self._version is not None:
            self._version += 1
        return is_added

    def _learn(self, stage_keys: Collection[str], events: Sequence[Event]) -> None:
        self.events |= {key: [] for key in stage_keys}
        for event in events:
            if event.stage_key in stage_keys:
                self.events[event.stage_key].append(event)
