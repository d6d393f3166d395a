"""Delta's jars: the build for each Spark, and what to do if they cannot be fetched."""

import re

from jobs.config.errors import CurationError

# The Delta of each series of Spark whose jar Maven Central has; `tests/install/matrix.py` starts a
# session with each. Wheels of delta-spark are released before their jars, or without.
DELTA_OF = {"4.0": "4.4.0", "4.1": "4.4.0", "4.2": "4.4.0"}

# Dependencies of delta-spark's jar that Spark ships already; only io.delta, io.unitycatalog and
# org.antlr are left to resolve.
EXCLUDES = ",".join(
    f"{group}:*"
    for group in (
        "com.fasterxml.jackson.core",
        "com.fasterxml.jackson.datatype",
        "com.github.luben",
        "com.google.code.findbugs",
        "commons-logging",
        "commons-pool",
        "io.airlift",
        "javax.annotation",
        "org.apache.hadoop",
        "org.apache.logging.log4j",
        "org.apache.parquet",
        "org.locationtech.jts",
        "org.roaringbitmap",
        "org.slf4j",
        "org.xerial.snappy",
    )
)
# Ivy's words
_MISSING = re.compile(r"(?:unresolved dependency|download failed): ([^#\s]+)#([^;\s]+);([^:!\s]+)")
_CACHE = "~/.ivy2.5.2"


def series_of(spark_version: str) -> str:
    """Return the series of a version: 4.2 for 4.2.1."""
    return ".".join(spark_version.split(".")[:2])


def delta_package(spark_version: str) -> str:
    """Return the Maven coordinates of the Delta build for a Spark.

    Raises
    ------
    CurationError
        If there is none for it.
    """
    series = series_of(spark_version)
    if series not in DELTA_OF:
        raise CurationError(
            f"pyspark {spark_version}: no Delta build is known for it; want Spark "
            f"{' or '.join(DELTA_OF)}: pip install 'evenlake[local]'"
        )
    return f"io.delta:delta-spark_{series}_2.13:{DELTA_OF[series]}"


def missing_jars(said: str) -> CurationError | None:
    """Return the error that names the jars that Ivy did not get, or None if it got all."""
    missing = list(dict.fromkeys(":".join(found) for found in _MISSING.findall(said)))
    if not missing:
        return None
    return CurationError(
        f"Spark did not start, as it could not fetch {', '.join(missing)}; let this machine reach "
        f"Maven Central, or a mirror named in spark.jars.ivySettings, once, or copy {_CACHE} from "
        "one that has them"
    )
