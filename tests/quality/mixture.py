"""Curate a pool with planted concepts and measure its sample: shared by tests and benchmarks."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, embed_pool, find_duplicates
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from tests.pools import Pool
from udfs.kernels.judging.measures import kl_to_uniform


def write_pool(pool: Pool, path: Path) -> None:
    """Write (id, embedding, concept) rows as one Parquet file."""
    X, concepts = pool
    offsets = np.arange(len(X) + 1, dtype=np.int32) * X.shape[1]
    embedding = pa.ListArray.from_arrays(pa.array(offsets), pa.array(X.ravel()))
    columns = {"id": pa.array(np.arange(len(X))), "embedding": embedding, "concept": concepts}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def config_for(
    pool: Path,
    root: Path,
    target_size: int,
    cluster: dict[str, Any],
    seed: int = 0,
    *,
    share: float | str = 0.0,
) -> RunConfig:
    """Return the config that curates a planted pool; ``share`` of leaves."""
    sample = {"name": "balanced", "target_size": target_size, "share": {"leaves": share}}
    return parse_config(
        {
            "seed": seed,
            "input": {"table": str(pool), "embedding": "embedding", "metadata": ["concept"]},
            "output": {"root": str(root)},
            "cluster": cluster,
            "samples": [sample],
            "report": {"label": "concept"},
        }
    )


def sampled_concepts(run: Run, n_concepts: int) -> np.ndarray:
    """Count the sample's points by planted concept : (n_concepts,) int64."""
    drawn = run.lake.read("samples", run.keys["balance_sample"]).select("id")
    pool = run.pool.rows.select("id", "concept")
    counted = drawn.join(pool, on="id", how="inner").groupBy("concept").count().collect()
    counts = np.zeros(n_concepts, np.int64)
    for row in counted:
        counts[row.concept] = row["count"]
    return counts


def curate_planted(spark: SparkSession, config) -> tuple[Run, dict[str, Any]]:
    """Embed, cluster and sample; return the run and its figures."""
    run = open_run(spark, config)
    for job in (embed_pool, find_duplicates, cluster_levels, balance_sample):
        run.do(job.STAGE)
    n_concepts = run.pool.rows.agg(F.max("concept")).collect()[0][0] + 1
    counts = sampled_concepts(run, n_concepts)
    figures = {"kl": kl_to_uniform(counts), "n_present": int((counts > 0).sum())}
    return run, figures


def first_fits(run: Run) -> dict[str, dict[str, float]]:
    """Return the fit before resampling by level: mini-batches, those on Spark, inertia."""
    log = run.lake.read("iterations", run.keys["cluster_levels"]).where("round = 0").toPandas()
    batches = log[log.algorithm == "minibatch"]
    on_spark = batches[batches.solver == "spark"]
    last = log[log.algorithm == "lloyd"].sort_values("iteration").groupby("level").inertia.last()
    return {
        "minibatches": {str(k): int(v) for k, v in batches.groupby("level").size().items()},
        "spark_minibatches": {str(k): int(v) for k, v in on_spark.groupby("level").size().items()},
        "inertia": {str(k): float(v) for k, v in last.items()},
    }
