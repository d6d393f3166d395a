"""Tables made on the driver become DataFrames with all of their rows."""

import pyarrow as pa
from pyspark.sql import SparkSession

from jobs.spark.frames import as_frame


def test_a_table_whose_first_chunk_is_empty_keeps_its_rows(spark: SparkSession) -> None:
    table = pa.table({"id": ["a", "b"], "n": [1, 2]})
    chunked = pa.concat_tables([table.slice(0, 0), table.slice(0, 1), table.slice(1)])
    assert sorted(as_frame(spark, chunked).collect()) == [("a", 1), ("b", 2)]
    assert as_frame(spark, table.slice(0, 0)).collect() == []
