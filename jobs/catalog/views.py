"""Views: what identifies one beside its files, found in the plan that Spark explains.

The plan is read as text, the only form of it that Connect hands out.
"""

import re
from collections.abc import Iterator

from pyspark.sql import DataFrame, SparkSession

from jobs.reading.files import hash_of
from jobs.spark.classic import delta_sources, plan_of
from jobs.spark.errors import SPARK_ERRORS

_ANALYZED = re.compile(r"== Analyzed Logical Plan ==\n(.*?)\n== ", re.DOTALL)
_VIEW = re.compile(r"\bView \(((?:`(?:[^`]|``)+`\.?)+), ")
_TABLE = re.compile(r"\bSubqueryAlias (\S+\.\S.*)\n[ :]*\+- Relation\b")  # aliases have one part
_AT_PATH = "spark_catalog.delta."  # which SQL takes without the catalog alone
_NUMBER = re.compile(r"(?<=\w)#\d+")  # that Spark gives to columns, anew each time


def ways_of_view(rows: DataFrame, name: str) -> tuple[str, ...]:
    """Identify a view by what its files do not tell.

    By its SQL, and that of views below it: it may be redefined over the same files. On Connect,
    where the plan itself is out of reach, by the versions of its Delta tables, too: the same files
    may hold fewer rows (deletion vectors).
    """
    spark = rows.sparkSession
    plan = _explained(spark, name)
    ways = [f"sql-{hash_of(_texts(rows, name, plan))}"]
    if delta_sources(rows) is None and (versions := sorted(_versions(spark, plan))):
        ways.append(f"delta-{hash_of(versions)}")
    return tuple(ways)


def _texts(rows: DataFrame, name: str, plan: str) -> list[str]:
    """Return a view's SQL, and that of the views below it.

    A temporary view keeps none, but a plan, which another version of Spark may write otherwise.
    """
    spark, below = rows.sparkSession, [*dict.fromkeys(_VIEW.findall(plan))][1:]
    own = _text_of(spark, name)
    if own is None:
        return [plan_of(rows) or _NUMBER.sub("", plan)]
    texts = []
    for view in below:
        try:
            texts.append(_text_of(spark, view))
        except SPARK_ERRORS:  # it may be read through the view only
            texts.append(view)
    return [own, *sorted(filter(None, texts))]


def _text_of(spark: SparkSession, view: str) -> str | None:
    """Return a view's SQL; None if it is temporary."""
    told = spark.sql(f"DESCRIBE TABLE EXTENDED {view}").where("col_name = 'View Text'")
    return next((row.data_type for row in told.select("data_type").take(1)), None)


def _versions(spark: SparkSession, plan: str) -> Iterator[str]:
    """Yield the latest ``id@version`` of each Delta table of a plan."""
    for table in dict.fromkeys(_TABLE.findall(plan)):
        name = table.removeprefix("spark_catalog.") if table.startswith(_AT_PATH) else table
        try:
            one = spark.sql(f"DESCRIBE DETAIL {name}").select("format", "id").collect()[0]
            if one.format == "delta":
                history = spark.sql(f"DESCRIBE HISTORY {name} LIMIT 1").select("version")
                yield f"{one.id}@{history.collect()[0].version}"
        except SPARK_ERRORS:  # an alias, no Delta table, or one that is read through the view only
            continue


def _explained(spark: SparkSession, name: str) -> str:
    """Return the analyzed plan of a view as text."""
    try:
        told = str(spark.sql(f"EXPLAIN EXTENDED TABLE {name}").collect()[0][0])
    except SPARK_ERRORS:  # reading it will say why
        return ""
    found = _ANALYZED.search(told)
    return found[1] if found else told
