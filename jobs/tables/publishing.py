"""Published tables: replaced whole, in one commit, and never by anything older."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.spark.observing import observed
from jobs.tables.lake import Lake
from jobs.tables.saving import EVERYTHING, transaction_options


def publish(
    lake: Lake, table: str, rows: DataFrame | None, metadata: Mapping[str, Any], *, version: int
) -> bool:
    """Replace a whole table, schema included, in one commit, unless a later version exists.

    Parameters
    ----------
    rows : None to publish the present rows again
    version : rises from one publication to the next

    Returns
    -------
    is_published : False if a later version exists, or the session cannot tell
    """
    options = transaction_options(f"publish/{table}", version)
    options |= {"userMetadata": json.dumps(metadata)}

    def save() -> bool:
        published = lake.read(table).limit(0) if rows is None else rows
        seen, figures = observed(published, F.count("*").alias("n"))
        lake.save(seen, table, options=options, replaces=None if rows is None else EVERYTHING)
        return figures() is not None

    return lake.commit(table, save)


def last_metadata(lake: Lake, table: str) -> dict[str, Any]:
    """Return the userMetadata of a table's last write; empty if there is none."""
    if not lake.exists(table):
        return {}
    history = lake.spark.sql(f"DESCRIBE HISTORY {lake.sql_name(table)}")
    for row in history.orderBy(F.desc("version")).select("userMetadata").collect():
        if row.userMetadata:
            # metadata by other writers may not be JSON
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                return dict(json.loads(row.userMetadata))
    return {}
