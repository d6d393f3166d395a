"""How rows reach a Delta table: in one commit, at a path or under a name in a catalog."""

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.spark.naming import literal, quote
from jobs.tables.table import properties

EVERYTHING = "true"  # a condition that every row meets
# optimized writes shuffle, between the rows and their observation
_PLAIN = {"optimizeWrite": "false"}
_GROWING = {"mergeSchema": "true"}  # adds the columns that the table lacks


def transaction_options(name: str, version: int) -> dict[str, str]:
    """Return the options by which Delta skips a commit that it has seen, or a later one."""
    return {"txnAppId": name, "txnVersion": str(version)}


def save_at_path(
    rows: DataFrame,
    path: str,
    *,
    is_new: bool,
    options: Mapping[str, str],
    replaces: str | None,
    partitioned_by: str | None,
) -> None:
    """Append rows to the table at a path, or replace those that meet a condition.

    Parameters
    ----------
    is_new : the table is created; otherwise it may gain columns
    options : options of Delta's writer
    replaces : a condition; EVERYTHING also replaces the schema; None to append
    partitioned_by : column that a new table is partitioned by
    """
    writer = rows.write.format("delta").mode("append" if replaces is None else "overwrite")
    writer = writer.options(**_PLAIN, **options)
    if replaces == EVERYTHING:
        writer = writer.option("overwriteSchema", "true")
    else:
        writer = writer.options(**(properties(rows) if is_new else _GROWING))
        if replaces is not None:
            writer = writer.option("replaceWhere", replaces)
    (writer if partitioned_by is None else writer.partitionBy(partitioned_by)).save(path)


def save_by_name(
    rows: DataFrame,
    name: str,
    *,
    is_new: bool,
    options: Mapping[str, str],
    replaces: str | None,
    partitioned_by: str | None,
) -> None:
    """Append rows to a catalog's table, or replace those that meet a condition.

    The table is created beforehand, empty: ``saveAsTable`` would create and replace tables with
    their rows, and then it reports no counts and knows no transactions.

    Parameters
    ----------
    name : quoted; the others as in ``save_at_path``, but the schema is never replaced
    """
    if is_new:
        _create(rows, name, partitioned_by)
    writer = rows.writeTo(name).options(**_PLAIN, **_GROWING, **options)
    if replaces is None:
        writer.append()
    else:
        writer.overwrite(F.expr(replaces))


def _create(rows: DataFrame, name: str, partitioned_by: str | None) -> None:
    """Create a table for rows, unless another process has by now."""
    columns = ", ".join(f"{quote(f.name)} {f.dataType.simpleString()}" for f in rows.schema)
    partitions = "" if partitioned_by is None else f"PARTITIONED BY ({quote(partitioned_by)})"
    kept = ", ".join(f"{literal(k)} = {literal(v)}" for k, v in properties(rows).items())
    rows.sparkSession.sql(
        f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING delta {partitions} "
        f"TBLPROPERTIES ({kept})"
    )
