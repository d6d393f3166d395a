"""Views: what identifies one beside its files, found in the plan that Spark explains.

The plan is read as text, the only form of it that Connect hands out.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence

from pyspark.sql import DataFrame, SparkSession

from jobs.spark.classic import delta_sources, plan_of
from jobs.spark.errors import SPARK_ERRORS
from jobs.spark.naming import path_of

_ANALYZED = re.compile(r"== Analyzed Logical Plan ==\n(.*?)\n== ", re.DOTALL)
_VIEW = re.compile(r"\bView \(((?:`(?:[^`]|``)+`\.?)+), ")
_TABLE = re.compile(r"\bSubqueryAlias (\S.*)\n[ :]*\+- Relation\b")
_AT_PATH = "spark_catalog.delta."  # which SQL takes without the catalog alone
_NUMBER = re.compile(r"#\d+")  # that Spark gives to columns, anew each time


def ways_of_view(rows: DataFrame, name: str) -> tuple[str, ...]:
    """Identify a view by its SQL, and that of views below it: it may be redefined over its files.

    A temporary view keeps none, but a plan, which another version of Spark may write otherwise.
    """
    plan = _explained(rows.sparkSession, name)
    below = [*dict.fromkeys(_VIEW.findall(plan))][1:]
    own, *texts = (_text_of(rows.sparkSession, view) for view in (name, *below))
    if own is None:
        return (f"sql-{hash_of([plan_of(rows) or _NUMBER.sub('', plan)])}",)
    return (f"sql-{hash_of([own, *sorted(filter(None, texts))])}",)


def _text_of(spark: SparkSession, view: str) -> str | None:
    """Return a view's SQL; None if it is temporary."""
    told = spark.sql(f"DESCRIBE TABLE EXTENDED {view}").where("col_name = 'View Text'")
    return next((row.data_type for row in told.select("data_type").take(1)), None)


def delta_tables(rows: DataFrame, name: str | None) -> dict[str, str]:
    """Return the Delta tables that a view reads: ``id@version`` -> path.

    Parameters
    ----------
    name : the view's; None for rows that have none
    """
    known = delta_sources(rows)
    if known is not None or name is None:
        return known or {}
    return dict(_described(rows.sparkSession, _explained(rows.sparkSession, name)))


def _described(spark: SparkSession, plan: str) -> Iterator[tuple[str, str]]:
    """Yield the latest version of each Delta table of a plan, and its path."""
    for table in dict.fromkeys(_TABLE.findall(plan)):
        name = table.removeprefix("spark_catalog.") if table.startswith(_AT_PATH) else table
        try:
            detail = spark.sql(f"DESCRIBE DETAIL {name}").select("format", "id", "location")
            one = detail.collect()[0]
            if one.format == "delta":
                history = spark.sql(f"DESCRIBE HISTORY {name} LIMIT 1").select("version")
                yield f"{one.id}@{history.collect()[0].version}", path_of(one.location)
        except SPARK_ERRORS:  # an alias, or no Delta table
            continue


def _explained(spark: SparkSession, name: str) -> str:
    """Return the analyzed plan of a view as text."""
    told = spark.sql(f"EXPLAIN EXTENDED SELECT * FROM {name}").collect()[0][0]
    found = _ANALYZED.search(told)
    return found[1] if found else told


def hash_of(parts: Sequence[str]) -> str:
    """Hash some texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
