"""Read and change a session's settings where it allows that: serverless refuses most."""

import contextlib
from collections.abc import Iterator, Mapping

from pyspark.sql import SparkSession


def setting(spark: SparkSession, key: str, default: str = "") -> str:
    """Return a setting; the default if it is not set, or the session does not reveal it.

    Serverless raises even where a default is given.
    """
    try:
        return spark.conf.get(key, default) or default
    except Exception:
        return default


@contextlib.contextmanager
def changed(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Change settings for a while; those that the session refuses stay as they are."""
    before: dict[str, str | None] = {}
    try:
        for key, value in settings.items():
            with contextlib.suppress(Exception):
                before[key] = spark.conf.get(key, None)
                spark.conf.set(key, value)
        yield
    finally:
        for key, old in before.items():
            with contextlib.suppress(Exception):
                spark.conf.unset(key) if old is None else spark.conf.set(key, old)
