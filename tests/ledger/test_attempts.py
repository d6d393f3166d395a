"""Leases: how long they hold, which process is at work, and what a stalled one may still do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.config.errors import LeaseLostError
from jobs.ledger.attempts import SECONDS, Attempt, at_work, expiry
from jobs.ledger.events import Event
from tests.ledger.fake_clock import FakeClock
from tests.ledger.memory_store import MemoryStore
from tests.ledger.stories import events_of

LEASE = 60.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(LEASE)


def started(store: MemoryStore, clock: FakeClock, number: int = 1) -> Attempt:
    """Begin an attempt, and record it in the store."""
    attempt = Attempt(store, "key", number, clock)
    (blank,) = events_of(f"started{number}")
    lease = {SECONDS: LEASE}
    store.append([replace(blank, at=clock.now(), notes=attempt.holder, metrics=lease)])
    return attempt


@contextmanager
def beating(attempt: Attempt, clock: FakeClock) -> Iterator[None]:
    """Renew a lease for a while."""
    attempt.begin()
    clock.settle()
    try:
        yield
    finally:
        attempt.end()


def holder(store: MemoryStore, clock: FakeClock) -> Event | None:
    return at_work(store, store.read(), clock.now())


def test_a_lease_holds_for_its_seconds(store: MemoryStore, clock: FakeClock) -> None:
    store.knows_processes = False
    attempt = started(store, clock)
    clock.advance(LEASE - 1)
    found = holder(store, clock)
    assert found is not None
    assert found.notes == attempt.holder
    assert expiry(store, found, clock.now()) == clock.now() + timedelta(seconds=1)
    clock.advance(1)
    assert holder(store, clock) is None


def test_a_lease_is_renewed_as_long_as_the_work_goes_on(
    store: MemoryStore, clock: FakeClock
) -> None:
    store.knows_processes = False
    attempt = started(store, clock)
    with beating(attempt, clock):
        clock.advance(10 * LEASE)
        assert holder(store, clock) is not None
        assert store.renewals["key"] == (1, clock.now() + timedelta(seconds=LEASE))
    clock.advance(LEASE)
    assert holder(store, clock) is None


def test_a_store_that_fails_for_a_while_costs_no_lease(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("503 Slow Down")

    attempt = started(store, clock)
    with beating(attempt, clock):
        with monkeypatch.context() as broken:
            broken.setattr(store, "renew", fails)
            clock.advance(LEASE / 2)
        clock.advance(LEASE)
        attempt.require()
    assert store.renewals["key"][1] > clock.now()


def test_what_has_ended_leaves_no_sign_of_life_and_no_thread(
    store: MemoryStore, clock: FakeClock
) -> None:
    attempt = started(store, clock)
    with beating(attempt, clock):
        assert store.present
    assert not store.present
    assert not attempt._heart.is_alive()
    attempt.end()  # ending it again changes nothing


def test_a_holder_whose_process_is_gone_is_passed_over_at_once(
    store: MemoryStore, clock: FakeClock
) -> None:
    started(store, clock)
    assert holder(store, clock) is not None
    store.present.clear()  # killed
    assert holder(store, clock) is None
    store.knows_processes = False  # elsewhere the lease has to expire
    assert holder(store, clock) is not None


@pytest.mark.parametrize("end", ["finished1", "failed1", "cleaned1"])
def test_nobody_is_at_work_on_what_has_ended(
    store: MemoryStore, clock: FakeClock, end: str
) -> None:
    started(store, clock)
    store.append([replace(e, at=clock.now()) for e in events_of(end)])
    assert holder(store, clock) is None


# --- a stalled process: no heartbeats -------------------------------------------------------------


def test_one_who_stood_still_goes_on_where_nobody_took_over(
    store: MemoryStore, clock: FakeClock
) -> None:
    store.knows_processes = False
    attempt = started(store, clock)
    clock.advance(LEASE + 1)
    attempt.require()
    assert holder(store, clock) is not None  # the lease holds again


@pytest.mark.parametrize("meanwhile", ["started2", "started2 finished2", "cleaned1", "failed1"])
def test_one_who_stood_still_is_told_that_he_lost_it(
    store: MemoryStore, clock: FakeClock, meanwhile: str
) -> None:
    attempt = started(store, clock)
    clock.advance(LEASE - 1)
    store.append([replace(e, at=clock.now()) for e in events_of(meanwhile)])
    attempt.require()  # in time, so no need to ask the store
    clock.advance(1)
    with pytest.raises(LeaseLostError, match=r"another process took over.*run the same command"):
        attempt.require()
    assert not store.renewals


def test_a_heart_that_finds_its_lease_lost_stops(store: MemoryStore, clock: FakeClock) -> None:
    attempt = started(store, clock)
    clock.advance(LEASE + 1)
    started(store, clock, number=2)
    with beating(attempt, clock):
        clock.advance(LEASE)
        assert not attempt._heart.is_alive()
    assert not store.renewals


def test_a_race_is_won_by_the_holder_that_the_store_names(
    store: MemoryStore, clock: FakeClock
) -> None:
    mine, other = started(store, clock), Attempt(store, "key", 1, clock)
    assert mine.is_won(store.read())
    assert not other.is_won(store.read())
    assert not Attempt(store, "key", 2, clock).is_won(store.read())
