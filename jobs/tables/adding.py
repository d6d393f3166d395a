"""Rows that a long stage adds commit by commit: what is written once is never made again.

Each commit has a number that rises. Delta skips a commit whose number is not above the last, so of
two processes at the same number one wins, and nothing is stored twice.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.spark.observing import observed
from jobs.tables.lake import Lake
from jobs.tables.saving import transaction_options
from jobs.tables.table import KEY, Table

_PER_INCARNATION = 2**32  # commits between two cleanings


def first_number(incarnation: int) -> int:
    """Return the number of the first commit after a key's latest cleaning."""
    return incarnation * _PER_INCARNATION + 1


def added_before(lake: Lake, table: Table, stage_key: str, incarnation: int) -> DataFrame | None:
    """Return a key's rows added since its latest cleaning; None if there are none.

    Parameters
    ----------
    table : a table with a column ``chunk`` that holds the commit's number
    """
    if not lake.exists(table):
        return None
    rows = lake.read(table, stage_key).where(F.col("chunk") >= first_number(incarnation))
    return None if rows.isEmpty() else rows


def add_rows(lake: Lake, table: Table, rows: DataFrame, stage_key: str, number: int) -> bool:
    """Add rows in one commit; the first after a cleaning replaces what the cleaning left behind.

    Parameters
    ----------
    rows : rows that are the same at every read
    number : the commit's number

    Returns
    -------
    is_added : False if the number is taken by other rows
    """
    is_first = number % _PER_INCARNATION == 1 and number > _PER_INCARNATION
    shaped = table.shaped(rows.withColumn("chunk", F.lit(number)), stage_key)

    def save() -> bool:
        seen, figures = observed(shaped, F.count("*").alias("n"))
        lake.save(
            seen,
            table.name,
            options=dict(table.writer_options)
            | transaction_options(f"{stage_key}/{table.name}/added", number),
            replaces=f"{KEY} = '{stage_key}'" if is_first else None,
            partitioned_by=KEY,
        )
        return figures() is not None

    if lake.commit(table.name, save):
        return True
    # taken, or written without a word from a busy listener
    stored = lake.read(table, stage_key).where(F.col("chunk") == number)
    return stored.count() == rows.count()
