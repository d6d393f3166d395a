"""Table upkeep: count and delete rows of stage keys, compact, delete old files."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from pyspark.sql import functions as F

from jobs.spark.naming import literal
from jobs.spark.settings import changed
from jobs.tables.lake import Lake
from jobs.tables.locks import exclusive
from jobs.tables.table import KEY

_CHECK, _SAFE_HOURS = "spark.databricks.delta.retentionDurationCheck.enabled", 168
_AT_ONCE, _LONGEST_WRITE = 4, timedelta(days=1)


def count_rows(lake: Lake, table: str, stage_keys: Sequence[str]) -> dict[str, int]:
    """Count the rows of some stage keys; those without rows are left out."""
    mine = lake.read(table).where(F.col(KEY).isin(list(stage_keys)))
    return {row[KEY]: row["count"] for row in mine.groupBy(KEY).count().collect()}


def remove_rows(lake: Lake, table: str, stage_keys: Sequence[str]) -> None:
    """Delete the rows of some stage keys in one commit.

    Writing such a key again needs a new incarnation: otherwise Delta would skip the write as a
    transaction it has seen.
    """
    keys = ", ".join(literal(key) for key in stage_keys)  # Delta's DELETE binds no parameters
    name = lake.sql_name(table)
    statement = f"DELETE FROM {name} WHERE {KEY} IN ({keys})"  # nosec B608 # both are quoted
    lake.commit(table, lambda: lake.spark.sql(statement))


def compact(lake: Lake, table: str) -> None:
    """Compact a table's small files."""
    name = lake.sql_name(table)  # quoted
    lake.commit(table, lambda: lake.spark.sql(f"OPTIMIZE {name}"))


def vacuum(lake: Lake, tables: Sequence[str], older_than: timedelta) -> None:
    """Delete the files that tables have not referred to for that long.

    Below Delta's own limit of a week this is safe as long as no read of an older version and no
    write takes longer than that. If writers cannot be locked out meanwhile, the minimum is a day.
    """
    if lake.local_folder is None:
        older_than = max(older_than, _LONGEST_WRITE)
    hours = older_than.total_seconds() / 3600
    unchecked = {_CHECK: "false"} if hours < _SAFE_HOURS else {}

    def delete_files(table: str) -> None:
        with exclusive(lake.local_folder, table, lake.lease_seconds):
            lake.spark.sql(f"VACUUM {lake.sql_name(table)} RETAIN {hours:g} HOURS")

    with changed(lake.spark, unchecked), ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(delete_files, tables))
