"""The ledger in the lake: events in ``runs``, lease renewals in ``leases``.

A commit of events may be a numbered Delta transaction: of all writers of one number, exactly one
succeeds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ledger.events import LEASES, RUNS, Event, Presence
from jobs.spark.classic import delta_version, use_scheduler_pool
from jobs.spark.errors import SPARK_ERRORS
from jobs.tables import locks
from jobs.tables.lake import Lake
from jobs.tables.upkeep import remove_rows

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOST_RACES = ("ConcurrentTransaction", "DELTA_CONCURRENT_TRANSACTION")
_ARROW_TYPES = {
    "at": pa.timestamp("us", tz="UTC"),
    "attempt": pa.int32(),
    "inputs": pa.map_(pa.string(), pa.string()),
    "metrics": pa.map_(pa.string(), pa.float64()),
    "digests": pa.map_(pa.string(), pa.string()),
}


class DeltaStore:
    """The events and leases of one output root."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.lease_seconds = lake.lease_seconds

    def read(self, stage_keys: Collection[str] | None = None) -> list[Event]:
        """Return the events of some stage keys, or of all of them, oldest first."""
        if not self.lake.exists(RUNS):
            return []
        rows = self.lake.read(RUNS)
        if stage_keys is not None:
            rows = rows.where(F.col("stage_key").isin(sorted(stage_keys)))
        return _events(rows)

    def read_if_few(self, limit: int) -> list[Event] | None:
        """Return all events, without their configs, oldest first; None if more than ``limit``."""
        if not self.lake.exists(RUNS):
            return []
        rows = self.lake.read(RUNS).withColumn("config", F.lit(""))
        found = _events(rows.limit(limit + 1))
        return found if len(found) <= limit else None

    def version(self) -> int | None:
        """Return the version of ``runs``; None if the session cannot tell without a query."""
        path = self.lake.path(RUNS)
        known = None if path is None else delta_version(self.lake.spark, path)
        return None if known is None else known.version

    def append(
        self, events: Sequence[Event], *, transaction: str | None = None, version: int = 0
    ) -> bool:
        """Add events in one commit, unless the transaction has already reached that version."""
        columns = {
            f.name: pa.array(
                [_plain(getattr(event, f.name)) for event in events],
                _ARROW_TYPES.get(f.name, pa.string()),
            )
            for f in fields(Event)
        }
        rows = self.lake.spark.createDataFrame(pa.table(columns))
        try:
            return self.lake.append(RUNS, rows, transaction=transaction, version=version)
        except SPARK_ERRORS as error:
            if transaction is None or not any(race in str(error) for race in _LOST_RACES):
                raise
            return False

    def renew(self, stage_key: str, holder: str, epoch: int, beat: int, expires: datetime) -> None:
        """Extend a lease to ``expires``, replacing the last renewal."""
        use_scheduler_pool(self.lake.spark, "leases")  # not to queue behind the stage's own tasks
        at = pa.array([expires], pa.timestamp("us", tz="UTC"))
        row = pa.table({"holder": [holder], "epoch": pa.array([epoch], pa.int64()), "expires": at})
        self.lake.replace(
            LEASES, self.lake.spark.createDataFrame(row), stage_key,
            transaction=f"lease/{epoch}", version=beat,
        )  # fmt: skip

    def renewed_until(self, stage_key: str, epoch: int) -> datetime | None:
        """Return when an attempt's last renewal expires; None if it has none."""
        if not self.lake.exists(LEASES):
            return None
        mine = self.lake.read(LEASES, stage_key).where(F.col("epoch") == epoch)
        until = mine.select(F.max(F.unix_micros("expires")).alias("until")).collect()[0].until
        return datetime.fromtimestamp(until / 1e6, UTC) if until else None

    def forget_renewals(self, stage_key: str) -> None:
        """Delete a stage key's renewals."""
        if self.lake.exists(LEASES):
            remove_rows(self.lake, LEASES.name, [stage_key])

    def presence(self, token: str) -> Presence:
        """Take a liveness lock for a holder's process, if the root is on a local file system."""
        return locks.Presence(self.lake.local_folder, token)

    def is_gone(self, token: str) -> bool:
        """Return whether a holder's process is known to be gone."""
        return locks.is_gone(self.lake.local_folder, token)


def _events(rows: DataFrame) -> list[Event]:
    names = [f.name for f in fields(Event)]
    found = rows.withColumn("at", F.unix_micros("at")).select(*names).toArrow().to_pylist()
    return sorted(map(_event, found), key=lambda event: event.at)


def _event(row: dict[str, Any]) -> Event:
    maps = {name: dict(row[name] or {}) for name in ("inputs", "metrics", "digests")}
    stages = tuple((row["stages"] or "").split())
    at = _EPOCH + timedelta(microseconds=row["at"])
    return Event(**row | maps | {"at": at, "stages": stages})


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(value)
    return list(value.items()) if isinstance(value, Mapping) else value
