"""Relative paths: they mean this process's folder, or nothing at all."""

from urllib.parse import urlparse

from pyspark.sql import SparkSession

from jobs.config.errors import ConfigError
from jobs.spark.classic import default_file_system
from jobs.spark.naming import is_full


def require_one_meaning(spark: SparkSession, key: str, path: str) -> None:
    """Refuse a relative path where Spark's folders are not those of this process.

    Relative paths belong to this process's working folder. Spark finds them there if its own paths
    are local files; a Connect server has another folder, and a cluster's default file system none.

    Raises
    ------
    ConfigError
    """
    if is_full(path):
        return
    default = default_file_system(spark)
    if default is not None and urlparse(default).scheme == "file":
        return
    whose = "its server's" if default is None else f"those of {default}"
    raise ConfigError(
        f"{key}={path!r} is relative to this process's folder, but Spark's files are {whose}; "
        "want a full path or a URI, such as /Volumes/main/lake/pool or s3://bucket/pool"
    )
