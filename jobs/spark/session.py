"""The Spark session: the active one, or a local one with Delta and sane defaults."""

import argparse
import contextlib
import logging
import os
import re
import sys
import tempfile
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from jobs.config.errors import CurationError
from jobs.config.model import SparkConfig
from jobs.spark import classic
from jobs.spark.class_data import classes_kept, sharing_options
from jobs.spark.host import is_submitted
from jobs.spark.jars import EXCLUDES, delta_package, missing_jars
from jobs.spark.java import FIX, find_java, missing_module
from jobs.spark.launch import kept_quiet, said_so_far, utf8_names
from jobs.spark.own_code import WORKERS_PATH, code_root
from jobs.spark.queries import MARK, QUICK
from jobs.spark.settings import setting

log = logging.getLogger(__name__)

# A batch job needs throughput, not short pauses, and fills its heap by gigabytes: together these
# take a fifth off a stage on two cores. Allowing a tenth of the time for garbage collection, not
# 1%, nearly halves a small run's heap. Java's warnings belong on stderr, not in a command's output.
_JAVA_OPTIONS = ("-XX:+UseParallelGC", "-XX:GCTimeRatio=9", "-XX:+DisplayVMOutputToStderr")
_ON_LINUX = "-XX:+UseTransparentHugePages"
_COLLECTOR = re.compile(r"-XX:\+Use\w*GC\b")
_DRIVER_OPTIONS = re.compile(r"^\s*spark\.driver\.\w+JavaOptions.*$", re.MULTILINE)
_JAVA_VARIABLES = (
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "PYSPARK_SUBMIT_ARGS",
)


def get_session(
    config: SparkConfig, *, app_name: str = "evenlake", is_verbose: bool = False
) -> tuple[SparkSession, bool]:
    """Return the active session, or start one.

    Parameters
    ----------
    is_verbose : show the output of a local session's JVM as it comes

    Returns
    -------
    spark : SparkSession
    is_ours : bool
        Whether it was started here, so the caller may stop it.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active, False
    if is_submitted():
        return SparkSession.builder.appName(app_name).getOrCreate(), True
    return start_local(config, app_name=app_name, is_verbose=is_verbose), True


def start_local(
    config: SparkConfig, *, app_name: str = "evenlake", is_verbose: bool = False
) -> SparkSession:
    """Start a local session with Delta.

    Raises
    ------
    CurationError
        If there is no Java that Spark runs on, or Delta's jars cannot be fetched.
    """
    _require_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    # no name look-up is needed: ports are random, so that several sessions fit one machine
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.appName(app_name).master(config.master)
    for key, value in local_settings(config).items():
        builder = builder.config(key, value)
    try:
        with utf8_names(), contextlib.nullcontext() if is_verbose else kept_quiet():
            return builder.getOrCreate()
    except Exception as error:
        said = said_so_far()
        if missing := missing_jars(said) or missing_module(said):
            raise missing from error
        if said:
            log.error("the JVM said:\n%s", said)
        raise CurationError(
            f"Spark did not start: {str(error).splitlines()[0]}; see the JVM's words above"
        ) from error


def local_settings(config: SparkConfig) -> dict[str, str]:
    """Return Spark's settings for a local session."""
    return {
        "spark.jars.packages": delta_package(pyspark.__version__),
        "spark.jars.excludes": EXCLUDES,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.memory": config.driver_memory,
        "spark.driver.defaultJavaOptions": _java_options(),  # in front of the user's own options
        "spark.driver.maxResultSize": "0",
        "spark.sql.shuffle.partitions": str(config.shuffle_partitions),
        MARK: "true",
        **QUICK,  # replaced once a pool turns out to be large
        # a task costs more than listing the thousands of files that one machine's tables have
        "spark.databricks.delta.snapshotPartitions": "1",
        # by default, files are listed and vacuumed in up to 10,000 tasks
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
        "spark.sql.execution.arrow.maxBytesPerBatch": "8m",
        "spark.shuffle.compress": "false",  # vectors do not compress
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
        WORKERS_PATH: code_root(),
        # otherwise a worker would import from its working folder before any package
        "spark.executorEnv.PYTHONSAFEPATH": "1",
        "spark.ui.enabled": "false",
        # the UI would hold past queries in memory even when disabled, above all their plans
        "spark.sql.ui.retainedExecutions": "20",
        "spark.ui.retainedJobs": "200",
        "spark.ui.retainedStages": "200",
        "spark.ui.retainedTasks": "2000",
        "spark.ui.showConsoleProgress": "false",
        "spark.scheduler.mode": "FAIR",  # lets leases be renewed amid a stage's many tasks
        "spark.log.level": "ERROR",
    }


def n_slots(spark: SparkSession) -> int:
    """Return the number of tasks that the session runs at once; a guess if it does not say."""
    known = known_slots(spark)
    return known if known else int(setting(spark, "spark.default.parallelism", "8"))


def known_slots(spark: SparkSession) -> int | None:
    """Return the number of tasks that the session runs at once, or None: Connect does not say."""
    return classic.n_slots(spark)


def _java_options() -> str:
    """Return Java's options; a collector set by the user wins, as Java accepts only one."""
    options = [
        *_JAVA_OPTIONS,
        *([_ON_LINUX] if sys.platform == "linux" else []),
        *sharing_options(),
    ]
    named = [os.environ.get(name, "") for name in _JAVA_VARIABLES]
    home = Path(os.environ.get("SPARK_HOME") or pyspark.__path__[0])
    defaults = Path(os.environ.get("SPARK_CONF_DIR") or home / "conf") / "spark-defaults.conf"
    with contextlib.suppress(OSError):
        named += _DRIVER_OPTIONS.findall(defaults.read_text(errors="replace"))
    if _COLLECTOR.search(" ".join(named)):
        options = [option for option in options if not _COLLECTOR.fullmatch(option)]
    return " ".join(options)


def _require_java() -> None:
    java = find_java(pyspark.__version__)
    if not java.is_fit:
        raise CurationError(f"{java.found}; want {java.wanted}; {FIX}")


def main() -> int:
    """Start a local session, write and read a Delta table, and print the versions used."""
    parser = argparse.ArgumentParser(prog="python -m jobs.spark.session", description=main.__doc__)
    parser.add_argument(
        "--keep-classes",
        action="store_true",
        help="have its JVM keep Spark's classes in a file (200 MB) beside the installed packages, "
        "from which later sessions start faster",
    )
    is_to_keep = parser.parse_args().keep_classes
    with (
        classes_kept() if is_to_keep else contextlib.nullcontext(),
        tempfile.TemporaryDirectory() as folder,
    ):
        spark = start_local(SparkConfig(master="local[1]", driver_memory="1g"))
        path = folder + "/probe"
        spark.range(3).write.format("delta").mode("append").save(path)
        n_rows = spark.read.format("delta").load(path).count()
        java = classic.java_property(spark, "java.version")
        package = delta_package(spark.version)
        classic.end_java(spark)
    if n_rows != 3:
        raise CurationError(f"wrote 3 rows by {package} and read {n_rows}; clear ~/.ivy2.5.2")
    if is_to_keep and not sharing_options():
        sys.stderr.write(f"{sys.prefix}: no classes were kept: Java wrote no file there\n")
    sys.stdout.write(f"spark={spark.version} delta={package.split(':')[-1]} java={java} ok\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
