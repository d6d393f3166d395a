"""A session: whether it starts, has Delta, has workers that find the code, and opens the input."""

import re
import sys
import tempfile

from pyspark.sql import SparkSession

from jobs.config.model import OutputConfig, RunConfig
from jobs.embedding.chosen import chosen
from jobs.environment.findings import Finding
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import open_pool
from jobs.spark import classic
from jobs.spark.host import is_submitted
from jobs.spark.jars import delta_package
from jobs.spark.naming import quote
from jobs.spark.own_code import ship_own_code
from jobs.spark.settings import setting
from jobs.tables.lake import Lake
from udfs.probe import make_probe

N_PROBED = 3  # rows to probe


def check_session(spark: SparkSession) -> Finding:
    """Report the session's Spark, and whether its JVM sees files of any name."""
    found = f"Spark {spark.version}"
    names = classic.java_property(spark, "sun.jnu.encoding")
    if names is None or not names.startswith("ANSI"):  # Java's word for ASCII
        return Finding("session", "ok", found)
    found += f", for which file names are {names}"
    fix = "start it with LC_ALL=C.UTF-8, or names that are not ASCII are not found"
    return Finding("session", "warning", found, "UTF-8", fix)


def check_delta(spark: SparkSession) -> Finding:
    """Write and read a tiny table in a temporary folder, if the executors share it."""
    with tempfile.TemporaryDirectory() as folder:
        master = setting(spark, "spark.master")
        if is_submitted() or not master.startswith("local"):
            Lake(spark, OutputConfig(root=folder)).exists("probe")
            return Finding("delta", "ok", "the session knows Delta; nothing was written")
        path = f"{folder}/probe"
        spark.range(N_PROBED).coalesce(1).write.format("delta").save(path)
        n_rows = spark.read.format("delta").load(path).count()
        history = spark.sql(f"DESCRIBE HISTORY delta.{quote(path)}").select("engineInfo").collect()
    engine = str(history[0].engineInfo)
    if n_rows != N_PROBED:
        found = f"wrote {N_PROBED} rows, read {n_rows}"
        return Finding("delta", "FAIL", found, fix="clear ~/.ivy2.5.2 and try again")
    found = f"{engine}: a table was written and read"
    loaded = re.search(r"Delta-Lake/(\S+)", engine)
    wanted = delta_package(spark.version).split(":")[-1]
    if loaded is None or loaded[1] == wanted:
        return Finding("delta", "ok", found)
    fix = "leave spark.jars.packages to Evenlake"
    return Finding("delta", "warning", found, f"the tested Delta {wanted}", fix)


def check_workers(spark: SparkSession) -> Finding:
    """Run a pandas UDF on a worker that reports its versions."""
    import numpy as np

    ship_own_code(spark)
    probed = spark.range(1).select(make_probe()("id").alias("probe")).select("probe.*")
    worker = probed.collect()[0]
    python = ".".join(map(str, sys.version_info[:3]))
    found = f"Python {worker.python}, numpy {worker.numpy}, udfs at {worker.udfs}"
    if (worker.python, worker.numpy) != (python, np.__version__):
        wanted = f"the driver's Python {python} and numpy {np.__version__}"
        fix = "set PYSPARK_PYTHON, or ship the driver's environment with --archives"
        return Finding("workers", "warning", found, wanted, fix)
    if worker.blas_threads != "1":
        found += f", {worker.blas_threads or 'any number of'} BLAS threads"
        fix = "set spark.executorEnv.OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS likewise"
        return Finding("workers", "warning", found, "1 BLAS thread a task", fix)
    return Finding("workers", "ok", found)


def check_input(spark: SparkSession, config: RunConfig) -> Finding:
    """Open the pool and find its columns, without embedding a row."""
    ship_own_code(spark)  # workers look into files of text
    pool = open_pool(spark, config.input)
    reads = chosen(config).spec.reads
    schema = pool_columns(pool, config.input, reads).schema
    kinds = {name: schema[name].dataType.simpleString() for name in ("id", "value")}
    found = f"{pool.name}, version {pool.fingerprint}"
    found += f": id is {kinds['id']}, input.{reads} is {kinds['value']}"
    return Finding("input", "ok", found)
