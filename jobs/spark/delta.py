"""Recognise errors from a session without Delta Lake, or with one built for another Spark."""

from pyspark.sql import SparkSession

from jobs.config.errors import CurationError
from jobs.spark.jars import delta_package, series_of

_NO_DELTA = ("DATA_SOURCE_NOT_FOUND", "catalog plugin")
# JVM errors that mean incompatible classes
_OTHER_SPARK = (
    "NoClassDefFoundError",
    "NoSuchMethodError",
    "NoSuchFieldError",
    "AbstractMethodError",
    "IncompatibleClassChangeError",
    "LinkageError",
)


def refuse_without_delta(error: Exception, spark: SparkSession) -> None:
    """Raise a helpful error if a Spark error is due to a missing or mismatched Delta.

    Raises
    ------
    CurationError
    """
    text = str(error)
    if any(mark in text for mark in _NO_DELTA):
        raise CurationError(
            "this Spark session has no Delta Lake: start it with delta-spark's package "
            "and its two confs, spark.sql.extensions and spark.sql.catalog.spark_catalog"
        ) from error
    if any(mark in text for mark in _OTHER_SPARK):
        raise CurationError(
            f"this session's Delta Lake does not fit its Spark {spark.version}: want the package "
            f"built for Spark {series_of(spark.version)}, which brings the jars it needs, "
            f"{delta_package(spark.version)}; name it in spark.jars.packages"
        ) from error
