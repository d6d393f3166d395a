"""What the ledger requires of a store: the one in Delta tables and its twin in memory."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs.config.model import OutputConfig
from jobs.ledger.delta_store import DeltaStore
from jobs.ledger.events import Event, EventStore
from jobs.tables.lake import Lake
from tests.ledger.fake_clock import START
from tests.ledger.memory_store import MemoryStore
from tests.ledger.stories import events_of

Make = Callable[[], EventStore]  # another process's view of the same root
FULL = Event(
    "key", "run", "embed_pool", "finished", START + timedelta(microseconds=1), 2, '{"seed": 0}',
    {"pool": "pool@3"}, {"n_points": 3.0, "seconds": 0.25}, "two\nlines", {"nodes": "0f"}, "0.1.0",
    ("embed_pool", "tune_tree"),
)  # fmt: skip
BARE = Event("other", "run", "embed_pool", "started", START, 1, "{}", {})


@pytest.fixture(params=["memory", "delta"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "memory":
        store = MemoryStore()
        return lambda: store
    spark, output = request.getfixturevalue("spark"), OutputConfig(root=str(tmp_path / "lake"))
    return lambda: DeltaStore(Lake(spark, output))


@pytest.fixture
def store(make: Make) -> EventStore:
    return make()


def test_an_empty_store_knows_nothing(store: EventStore) -> None:
    assert store.read() == store.read(["key"]) == store.read_if_few(1) == []
    assert store.renewed_until("key", 1) is None
    assert store.is_gone("0123abcd")
    store.forget_renewals("key")


def test_events_come_back_as_they_were_told_oldest_first(make: Make) -> None:
    assert make().append([FULL, BARE])
    other = make()
    assert other.read() == [BARE, FULL]
    assert other.read(["key", "none"]) == [FULL]
    assert other.read_if_few(2) == [replace(BARE, config=""), replace(FULL, config="")]
    assert other.read_if_few(1) is None


def test_of_all_who_write_a_transactions_number_one_does(make: Make) -> None:
    first, second = make(), make()
    one, two, three = events_of("started1 started2 started3")
    assert first.append([one], transaction="t", version=1)
    assert not second.append([two, three], transaction="t", version=1)  # all or nothing
    assert second.append([two], transaction="u", version=1)
    assert second.append([three], transaction="t", version=3)
    assert not first.append([one], transaction="t", version=2)  # versions only rise
    assert first.read() == second.read() == [one, two, three]


def test_the_last_renewal_of_an_attempt_counts_until_it_is_forgotten(make: Make) -> None:
    store, other = make(), make()
    minutes = [START + timedelta(minutes=n) for n in range(4)]
    store.renew("key", "me", 1, 1, minutes[1])
    store.renew("other", "me", 1, 1, minutes[3])
    store.renew("key", "me", 1, 2, minutes[2])
    store.renew("key", "me", 1, 2, minutes[0])  # a repeated commit
    assert other.renewed_until("key", 1) == minutes[2]
    assert other.renewed_until("key", 2) is None
    other.renew("key", "another", 2, 1, minutes[3])
    assert store.renewed_until("key", 2) == minutes[3]
    assert store.renewed_until("key", 1) is None
    other.forget_renewals("key")
    assert store.renewed_until("key", 2) is None
    assert store.renewed_until("other", 1) == minutes[3]


def test_a_holder_is_present_until_he_says_otherwise(make: Make) -> None:
    presence = make().presence("0123abcd")
    assert not make().is_gone("0123abcd")
    assert make().is_gone("4567cdef")
    presence.end()
    presence.end()
    assert make().is_gone("0123abcd")


def test_both_stores_tell_the_same_story(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stores = [DeltaStore(Lake(spark, OutputConfig(root=str(tmp_path)))), MemoryStore()]
    for i in range(8):
        event = replace(BARE, stage_key="ab"[rng.integers(2)], at=START + timedelta(seconds=i))
        name, version = "tu"[rng.integers(2)], int(rng.integers(4))
        told = [store.append([event], transaction=name, version=version) for store in stores]
        assert told[1] or not told[0]  # a busy session may not see in time that it was recorded
    assert stores[0].read() == stores[1].read()
    assert stores[0].read(["a"]) == stores[1].read(["a"])
