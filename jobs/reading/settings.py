"""Settings of the session that shape rows: pinned while a pool is read, or part of its identity."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from pyspark.sql import SparkSession

from jobs.spark.settings import changed, setting

_PINNED = {
    "spark.sql.session.timeZone": "UTC",
    # values stay as they are written: label=007 is not 7
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parquet.binaryAsString": "false",
}
# also shape rows, but at run time: a session that differs has another fingerprint
_EXPECTED = {
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}


def settings_pinned(spark: SparkSession) -> AbstractContextManager[None]:
    """Fix the settings that shape rows while queries are planned, if the session allows it."""
    return changed(spark, _PINNED)


def session_ways(spark: SparkSession) -> Iterator[str]:
    """Yield the settings that shape rows and are not as pinned or expected."""
    for key, value in (_PINNED | _EXPECTED).items():
        found = setting(spark, key, value)
        if found.lower() != value.lower():
            yield f"{key.rpartition('.')[2]}={found}"
