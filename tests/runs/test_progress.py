"""What a cluster's UI shows about a run, and how many rows it has read."""

import threading
import time
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.util import inheritable_thread_target

from jobs.runs.progress import Progress
from jobs.spark.classic import rows_read

N_ROWS, N_TASKS = 400, 8


def newest_job(spark: SparkSession) -> str | None:
    """Return the description of the newest job, as Spark's UI has it."""
    context = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty(10_000)
    jobs = context.statusStore().jobsList(None)
    newest = max((jobs.apply(i) for i in range(jobs.size())), key=lambda job: job.jobId())
    described = newest.description()
    return described.get() if described.isDefined() else None


def test_jobs_are_described_by_stage_level_and_iteration(spark: SparkSession) -> None:
    progress = Progress(is_live=False)

    def job() -> str | None:
        spark.range(3).collect()
        return newest_job(spark)

    with progress.stage("cluster_levels", spark):
        assert job() == "evenlake cluster_levels"
        progress.update(0.5, 2, level=1, round=0, iter=3, inertia=0.25)
        described = "evenlake cluster_levels after level=1 round=0 iter=3"
        assert job() == described
        found: list[str | None] = []
        inherits = inheritable_thread_target(spark)
        other = threading.Thread(target=inherits(lambda: found.append(job())))
        other.start()
        other.join()
        assert found == [described]
    assert job() != described


def test_progress_counts_rows_while_they_are_read(spark: SparkSession) -> None:
    def slowly(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            time.sleep(0.3)
            yield batch

    assert rows_read(spark) is None
    rows = spark.range(0, N_ROWS, 1, N_TASKS).mapInArrow(slowly, "id long")
    reader = threading.Thread(target=rows.collect)
    reader.start()
    seen = set()
    while reader.is_alive():
        seen.add(rows_read(spark))
        time.sleep(0.05)
    counts = sorted(n for n in seen if n)
    assert 0 < counts[0] < N_ROWS
    assert counts[-1] <= N_ROWS
