"""Files that are points as they are, such as images: read whole."""

from collections.abc import Mapping

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from jobs.config.model import InputConfig
from jobs.reading.files import Files
from jobs.spark.frames import n_packed
from udfs.readers.whole_files import make_read


def read_whole_files(
    spark: SparkSession,
    files: Files,
    paths: list[str],
    options: Mapping[str, str],
    config: InputConfig,
) -> DataFrame:
    """Return the columns of Spark's ``binaryFile``: path, modificationTime, length, content.

    Local files are read by Python workers, whatever characters their names hold.
    """
    if not are_read_by_workers(files, config):
        return spark.read.format("binaryFile").options(**options).load(paths)
    found = {
        "path": pa.array([file.path for file in files.found], pa.string()),
        "modificationTime": pa.array(
            [round(1e6 * file.modificationTime.timestamp()) for file in files.found],
            pa.timestamp("us", tz="UTC"),
        ),
        "length": pa.array([file.length for file in files.found], pa.int64()),
    }
    listed = spark.createDataFrame(
        pa.table(found)
    )  # from rows made in Python it takes ten times as long
    n_tasks = min(len(files.found), n_packed(spark, files.n_bytes))
    return listed.repartition(n_tasks).withColumn("content", make_read()("path"))


def are_read_by_workers(files: Files, config: InputConfig) -> bool:
    """Return whether Python opens the files: local ones, unless Spark's own columns are asked."""
    asks_spark = files.layout == "partitions" or "_metadata" in config.model_dump_json()
    return files.is_local and not asks_spark
