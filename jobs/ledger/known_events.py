"""What a run knows of the ledger: read once, and again only where others have told more."""

from collections.abc import Collection, Sequence

from jobs.ledger.events import Event, EventStore

FEW_EVENTS = 5000  # ledgers up to here are read whole, once


class KnownEvents:
    """The events of some stage keys, as far as they were read or told.

    Attributes
    ----------
    events : stage key -> its events, oldest first
    """

    def __init__(self, store: EventStore) -> None:
        self.events: dict[str, list[Event]] = {}
        self._store = store
        self._version: int | None = None  # of the store, as far as it was seen or written
        self._whole: list[Event] | None = None  # the ledger as it was when it was opened

    def open(self, stage_keys: Collection[str]) -> list[Event] | None:
        """Learn what is known of some stage keys; return the whole ledger where it is small."""
        self._version = self._store.version()
        self._whole = self._store.read_if_few(FEW_EVENTS)
        if self._whole is None:
            self._learn(stage_keys, self._store.read(stage_keys))
        else:
            self._learn(stage_keys, self._whole)
        return self._whole

    def read(self, stage_keys: Collection[str]) -> None:
        """Read what is known of some stage keys now, and of all that were known before."""
        known, version = {*self.events, *stage_keys}, self._store.version()
        self._learn(known, self._store.read(known))
        self._version, self._whole = version, None

    def read_again(self, stage_key: str) -> None:
        """Read what is known of one stage key now."""
        self._learn([stage_key], self._store.read([stage_key]))

    def is_current(self, stage_keys: Collection[str] = ()) -> bool:
        """Tell whether stage keys are known, and nobody else has told anything since."""
        is_known = self.events.keys() >= set(stage_keys)
        return is_known and self._version is not None and self._version == self._store.version()

    def looks_up(self, stage_key: str) -> bool:
        """Tell whether a stage key is known, or can be looked up in the ledger as it was opened."""
        if stage_key not in self.events:
            if self._whole is None or not self.is_current():
                return False
            self._learn([stage_key], self._whole)
        return True

    def append(self, events: Sequence[Event], *, transaction: str | None, version: int) -> bool:
        """Add events to the store, and keep count of its commits."""
        is_told = self._store.append(events, transaction=transaction, version=version)
        if is_told and self._version is not None:
            self._version += 1
        return is_told

    def _learn(self, stage_keys: Collection[str], events: Sequence[Event]) -> None:
        self.events |= {key: [] for key in stage_keys}
        for event in events:
            if event.stage_key in stage_keys:
                self.events[event.stage_key].append(event)
