"""Files as rows for Python workers: local ones by their path, others with their content."""

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.reading.files import escaped
from jobs.spark.naming import is_local
from jobs.spark.session import n_slots

WHOLE = (0, -1)  # the row range of a file that is read as a whole
_SOURCES = "path string, content binary, start bigint, stop bigint"
_TASKS_A_SLOT = 8


def sources_of(spark: SparkSession, parts: Mapping[str, Sequence[tuple[int, int]]]) -> DataFrame:
    """Return a row for each part of a file; those that are not local come whole.

    Parameters
    ----------
    parts : ranges of rows by path
    """
    rows = [(path, None, *part) for path, ranges in parts.items() for part in ranges]
    if all(map(is_local, parts)):
        named = spark.createDataFrame(rows, _SOURCES)
        return named.repartition(min(len(rows), _TASKS_A_SLOT * n_slots(spark)))
    contents = spark.read.format("binaryFile").load([*map(escaped, parts)])
    ends = {
        name: F.lit(end).cast("bigint") for name, end in zip(("start", "stop"), WHOLE, strict=True)
    }
    return contents.select("path", "content").withColumns(ends)
