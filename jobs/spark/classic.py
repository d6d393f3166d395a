"""What only a classic session offers: its JVM and its context. On Connect every answer is None.

Nothing else in Evenlake uses these; callers have a fallback, or do without.
"""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark import SparkContext
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql.utils import is_remote

from jobs.spark.naming import is_local, path_of

_PATIENCE = 5.0  # seconds: a session reports a query shortly after its end
_POLL = 0.005


@dataclass(frozen=True)
class DeltaVersion:
    """A Delta table's current state in its log; ``version`` is -1 if there is no table."""

    table_id: str
    version: int


def delta_version(spark: SparkSession, path: str) -> DeltaVersion | None:
    """Look into a Delta table's log, without a query; None if Delta's classes differ."""
    if is_remote():
        return None
    try:
        snapshot = _snapshot(spark, path)
        return DeltaVersion(str(snapshot.metadata().id()), int(snapshot.version()))
    except Exception:  # a platform's own Delta, or a log for which SQL raises a better error
        return None


def load_transactions(spark: SparkSession, path: str) -> None:
    """Have Delta find out which transactions a table has seen, and keep it for the next commit."""
    if not is_remote():
        with contextlib.suppress(Exception):  # the commit will ask again
            _snapshot(spark, path).transactions()


def _snapshot(spark: SparkSession, path: str) -> Any:
    jvm: Any = spark._jvm
    none = jvm.scala.Option.empty()
    logs = getattr(jvm, "org.apache.spark.sql.delta.DeltaLog")
    return logs.forTable(spark._jsparkSession, path).update(False, none, none)


def delta_sources(rows: DataFrame) -> dict[str, str] | None:
    """Return the Delta tables that some rows are read from: ``id@version`` -> path."""
    if is_remote():
        return None
    found = {}
    with contextlib.suppress(Exception):
        leaves = rows._jdf.queryExecution().analyzed().collectLeaves()
        for i in range(leaves.size()):
            with contextlib.suppress(Exception):  # not a Delta table
                snapshot = leaves.apply(i).relation().location().snapshotAtAnalysis()
                path = str(snapshot.deltaLog().dataPath().toString())
                found[f"{snapshot.metadata().id()}@{snapshot.version()}"] = path
    return found


def plan_of(rows: DataFrame) -> str | None:
    """Return how some rows are computed, without the numbers that Spark gives to columns."""
    if is_remote():
        return None
    with contextlib.suppress(Exception):
        return str(rows._jdf.queryExecution().analyzed().canonicalized().toString())
    return None


def broadcast(spark: SparkSession, content: bytes) -> tuple[Any, Callable[[], None]] | None:
    """Broadcast bytes; return the broadcast, and a function that releases it."""
    if is_remote():
        return None
    shared = spark.sparkContext.broadcast(content)
    return shared, shared.destroy


def application_id(spark: SparkSession) -> str | None:
    """Return the id of the application that the session belongs to."""
    return None if is_remote() else str(spark.sparkContext.applicationId)


def add_python_code(spark: SparkSession, path: str) -> bool:
    """Put a .zip of Python code on the workers' path for later tasks; False on Connect."""
    if is_remote():
        return False
    spark.sparkContext.addPyFile(path)
    return True


def is_on_one_machine(spark: SparkSession) -> bool:
    """Return whether the workers run beside the driver and so see its files."""
    if is_remote():
        return False
    master = str(spark.sparkContext.master)
    return master.startswith("local") and not master.startswith("local-cluster")


def add_archive(spark: SparkSession, path: str) -> bool:
    """Have an archive unpacked on the workers' machines, if they are others; False on Connect."""
    if is_remote():
        return False
    if not is_on_one_machine(spark):
        spark.sparkContext.addArchive(path)
    return True


def n_slots(spark: SparkSession) -> int | None:
    """Return the number of tasks that can run at once."""
    with contextlib.suppress(Exception):
        return int(spark.sparkContext.defaultParallelism)
    return None


def default_file_system(spark: SparkSession) -> str | None:
    """Return the URI that paths without a scheme belong to."""
    if is_remote():
        return None
    with contextlib.suppress(Exception):
        jsc: Any = spark.sparkContext._jsc
        return str(jsc.hadoopConfiguration().get("fs.defaultFS"))
    return None


def row_counter(spark: SparkSession) -> Any | None:
    """Return an accumulator of rows: tasks ``add`` to its ``value``, which grows as they end."""
    return None if is_remote() else spark.sparkContext.accumulator(0)


def rows_read(spark: SparkSession | None) -> int | None:
    """Return how many rows the active stages have read so far, from tables or from a shuffle."""
    if spark is None:
        return None
    with contextlib.suppress(Exception):
        context: Any = spark.sparkContext._jsc
        stages = context.sc().statusStore().activeStages()
        active = [stages.apply(i) for i in range(stages.size())]
        if active:
            return sum(int(max(s.inputRecords(), s.shuffleReadRecords())) for s in active)
    return None


def describe_jobs(spark: SparkSession | None, text: str | None) -> None:
    """Describe this thread's jobs from now on, as Spark's UI shows them."""
    if spark is None:
        return
    with contextlib.suppress(Exception):
        context: Any = spark.sparkContext  # untyped: None clears the description
        context.setJobDescription(text)


def use_scheduler_pool(spark: SparkSession, name: str) -> None:
    """Run this thread's jobs in a pool of their own, alongside other jobs' tasks."""
    with contextlib.suppress(Exception):
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", name)


def schema_fields(rows: DataFrame) -> list[dict[str, Any]] | None:
    """Return the schema as the JVM's JSON, without loading any code that it names."""
    if is_remote():
        return None
    fields: list[dict[str, Any]] = json.loads(rows._jdf.schema().json())["fields"]
    return fields


@dataclass(frozen=True)
class PlanFacts:
    """Whether a plan's rows are the same at every read, and at any time."""

    is_deterministic: bool
    is_timeless: bool


def plan_facts(rows: DataFrame) -> PlanFacts | None:
    """Return these facts from the analysed plan of some rows."""
    if is_remote():
        return None
    plan = rows._jdf.queryExecution().analyzed()
    jvm: Any = rows.sparkSession._jvm
    patterns = jvm.org.apache.spark.sql.catalyst.trees.TreePattern
    return PlanFacts(plan.deterministic(), not plan.containsPattern(patterns.CURRENT_LIKE()))


def is_observed(spark: SparkSession, observation: Observation) -> bool | None:
    """Wait until an observation is complete, or all pending session events are delivered.

    Returns
    -------
    is_observed : None if the session is not classic
    """
    if (classic := getattr(observation, "_jo", None)) is None:
        return None
    until, has_heard_all = time.monotonic() + _PATIENCE, False
    while not classic.future().isCompleted():
        if has_heard_all or time.monotonic() > until:
            return False
        has_heard_all = _hears_all(spark, until - time.monotonic())
        time.sleep(0 if has_heard_all else _POLL)
    # a skipped commit to a named table ends with an empty row; Spark 4.0 has a map in its place
    return int(classic.future().value().get().get().size()) > 0


def _hears_all(spark: SparkSession, seconds: float) -> bool:
    """Wait until listeners have received all pending events; False if that cannot be known."""
    try:
        context: Any = spark.sparkContext._jsc
        context.sc().listenerBus().waitUntilEmpty(int(1000 * seconds))
    except Exception:  # not every platform lets Python call this, and a busy bus is never empty
        return False
    return True


def java_property(spark: SparkSession, name: str) -> str | None:
    """Return a property of the driver's JVM, such as ``java.version``; None if it does not say."""
    if is_remote():
        return None
    try:
        jvm: Any = spark.sparkContext._jvm
        return str(jvm.System.getProperty(name))
    except Exception:  # not every platform lets Python call this
        return None


def end_java(spark: SparkSession) -> None:
    """Stop a session that this process started, and its JVM; wait for the JVM's end."""
    gateway: Any = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None


def path_exists(spark: SparkSession, path: str) -> bool:
    """Return whether something is at a path, none of whose signs is a pattern's."""
    if is_local(path):
        return Path(path_of(path)).exists()
    with contextlib.suppress(Exception):
        place, system = _hadoop(spark, path)
        return bool(system.exists(place))
    return False


def count_files(spark: SparkSession, path: str) -> int | None:
    """Return the number of files below a path, hidden and empty ones too."""
    with contextlib.suppress(Exception):
        place, system = _hadoop(spark, path)
        return int(system.getContentSummary(place).getFileCount())
    return None


def _hadoop(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """Return a path and its file system, as Hadoop's objects."""
    context: Any = spark.sparkContext
    place = context._jvm.org.apache.hadoop.fs.Path(path)
    return place, place.getFileSystem(context._jsc.hadoopConfiguration())
