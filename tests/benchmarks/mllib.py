"""MLlib's KMeans, by rows and by blocks."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml.clustering import KMeans
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.benchmarks.machine import n_cores
from tests.benchmarks.sessions import start_session
from tests.benchmarks.tasks import ITERATIONS, Files, Fit, Stopwatch, Task

_SEED = 0


def fit_mllib(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """``pyspark.ml.clustering.KMeans`` from cached vectors to the model and all predictions."""
    spark = start_session(task)
    log_iterations(spark)
    rows = spark.read.parquet(files.pool).repartition(2 * n_cores(), "id")
    cached = rows.select("id", array_to_vector(F.col("embedding")).alias("features")).cache()
    cached.count()
    model = KMeans(
        k=task.n_clusters,
        maxIter=task.iterations,
        tol=0.0,
        seed=_SEED,
        solver=task.rival.removeprefix("mllib-"),
    )
    watch.start(blas=blas_of(spark))
    fitted = model.fit(cached)
    fit = watch.lap()
    predicted = fitted.transform(cached).select("id", "prediction").toArrow()
    assign = watch.lap()
    centroids = np.array(fitted.clusterCenters(), np.float32)
    n_iterations = fitted.summary.numIter
    spark.stop()
    labels = np.full(task.n_points, -1, np.int64)
    labels[predicted["id"].to_numpy()] = predicted["prediction"].to_numpy()
    figures = {"fit_seconds": fit, "assign_seconds": assign} | logged_seconds(watch.marker.parent)
    seconds = fit + assign
    at_ten: float | None = seconds
    if n_iterations == task.iterations != ITERATIONS:
        iterate = figures.get("iterate_seconds")
        at_ten = iterate and seconds + iterate * (ITERATIONS / n_iterations - 1)
    return Fit(seconds, str(n_iterations), at_ten, figures, centroids, labels)


def log_iterations(spark: SparkSession) -> None:
    """Let MLlib's KMeans log how long its start and its iterations took."""
    jvm: Any = spark.sparkContext._jvm
    log4j = jvm.org.apache.logging.log4j
    for name in ("org.apache.spark.ml.util.Instrumentation", "org.apache.spark.mllib.clustering"):
        log4j.core.config.Configurator.setLevel(name, log4j.Level.INFO)


def blas_of(spark: SparkSession) -> str:
    """Return the class behind MLlib's matrix products: the system's libblas, or Java's own."""
    jvm: Any = spark.sparkContext._jvm
    blas = jvm.dev.ludovic.netlib.blas
    try:
        return str(blas.NativeBLAS.getInstance().getClass().getName())
    except Exception:  # no libblas.so.3 on this machine
        return str(blas.JavaBLAS.getInstance().getClass().getName())


def logged_seconds(folder: Path) -> dict[str, float]:
    """Read those times back; both solvers log them alike, in seconds or in ms."""
    text = (folder / "log").read_text(errors="replace")
    found = {}
    for name, what in (("start", "Initialization with .* took"), ("iterate", "Iterations took")):
        match = re.search(rf"{what} ([\d.]+) (ms|s)", text)
        if match:
            scale = 1e-3 if match[2] == "ms" else 1.0
            found[f"{name}_seconds"] = float(match[1]) * scale
    return found
