"""The ledger's events: what happened to a stage key, as rows of ``runs`` that are only ever added.

An event may be a Delta transaction with a number: of all who write that number, one succeeds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyspark.sql import functions as F

from jobs.spark.errors import SPARK_ERRORS
from jobs.tables.lake import Lake

Metrics = dict[str, float]

TABLE = "runs"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOST_RACES = ("ConcurrentTransaction", "DELTA_CONCURRENT_TRANSACTION")
_ARROW_TYPES = {
    "at": pa.timestamp("us", tz="UTC"),
    "attempt": pa.int32(),
    "inputs": pa.map_(pa.string(), pa.string()),
    "metrics": pa.map_(pa.string(), pa.float64()),
    "digests": pa.map_(pa.string(), pa.string()),
}


@dataclass(frozen=True)
class Event:
    """One row of ``runs``; ``at`` in UTC, ``attempt`` the stage key's, from 1."""

    stage_key: str
    run_id: str
    stage: str
    event: str
    at: datetime
    attempt: int
    config: str
    inputs: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    code_version: str = ""


def read_events(lake: Lake, stage_keys: Collection[str] | None = None) -> list[Event]:
    """Read the events of some stage keys, or of all, oldest first; empty where is no ledger."""
    if not lake.exists(TABLE):
        return []
    rows = lake.read(TABLE)
    if stage_keys is not None:
        rows = rows.where(F.col("stage_key").isin(sorted(stage_keys)))
    names = [f.name for f in fields(Event)]
    found = rows.withColumn("at", F.unix_micros("at")).select(*names).toArrow().to_pylist()
    return sorted(map(_event, found), key=lambda event: event.at)


def _event(row: dict[str, Any]) -> Event:
    maps = {name: dict(row[name] or {}) for name in ("inputs", "metrics", "digests")}
    return Event(**row | maps | {"at": _EPOCH + timedelta(microseconds=row["at"])})


def append_events(
    lake: Lake, events: Sequence[Event], *, transaction: str | None = None, version: int = 0
) -> None:
    """Add events to the ledger, unless the transaction has got that far.

    Whether it had is for the caller to find out, by reading: Delta skips it silently, or another
    writer was quicker.
    """
    columns = {
        f.name: pa.array(
            [_plain(getattr(event, f.name)) for event in events],
            _ARROW_TYPES.get(f.name, pa.string()),
        )
        for f in fields(Event)
    }
    rows = lake.spark.createDataFrame(pa.table(columns))
    try:
        lake.append(TABLE, rows, transaction=transaction, version=version)
    except SPARK_ERRORS as error:
        if transaction is None or not any(race in str(error) for race in _LOST_RACES):
            raise


def _plain(value: object) -> object:
    return list(value.items()) if isinstance(value, Mapping) else value


def last_attempt(events: Sequence[Event]) -> int:
    """Return the number of a stage key's last attempt; 0 for none."""
    return max((e.attempt for e in events if e.event == "started"), default=0)


def last_finished(events: Sequence[Event]) -> Event | None:
    """Return the event that finished a stage key, unless it was cleaned since that attempt began.

    What an attempt before it tells, late, changes nothing.

    Parameters
    ----------
    events : of one stage key, oldest first
    """
    finished = [e for e in events if e.event == "finished"]
    if not finished:
        return None
    last = max(finished, key=lambda e: e.attempt)
    began = [i for i, e in enumerate(events) if e.attempt == last.attempt and e.event == "started"]
    since = events[began[-1] :] if began else events[events.index(last) :]
    return None if any(e.event == "cleaned" and e.attempt >= last.attempt for e in since) else last
