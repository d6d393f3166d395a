"""A round of draws from ready losses beside the time of writing the same rows.

Run: python -m tests.benchmarks.learnability_rows [N]   (1,000,000 rows by default)
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs import balance_sample, cluster_levels, embed_pool, find_duplicates, score_learnability
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, SparkConfig
from jobs.runs.opening import open_run
from jobs.spark.session import start_local

N_FEATURES, REPEATS = 4, 3
STAGE = score_learnability.STAGE


def write_inputs(folder: Path, n: int) -> None:
    """Write a pool of small vectors and both models' losses."""
    rng, ids = np.random.default_rng(0), pa.array(np.arange(n))
    X = rng.standard_normal((n, N_FEATURES), np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(X.ravel(), N_FEATURES).cast(pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ids, "vector": vectors}), folder / "pool.parquet")
    for name in ("online", "reference"):
        table = pa.table({"id": ids, "loss": rng.gamma(2.0, size=n)})
        pq.write_table(table, folder / f"{name}.parquet")


def config(folder: Path, round_: int) -> RunConfig:
    """Return the config of a round."""
    losses = {name: {"table": f"{folder}/{name}.parquet"} for name in ("online", "reference")}
    return parse_config(
        {
            "input": {"table": f"{folder}/pool.parquet", "embedding": "vector"},
            "output": {"root": f"{folder}/lake"},
            "cluster": {"levels": [500, 20], "resampling": {"rounds": 0}},
            "samples": [{"name": "s", "target_size": 1000, "share": {"leaves": 0.0}}],
            "learnability": {"source": "pool", "round": round_} | losses,
        },
        (),
    )


def main() -> None:
    """Print both times and their ratio."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    spark = start_local(SparkConfig(driver_memory="8g"))
    folder = Path(tempfile.mkdtemp(prefix="evenlake-rows-"))
    try:
        write_inputs(folder, n)
        run = open_run(spark, config(folder, 0))
        for stage in (embed_pool, find_duplicates, cluster_levels, balance_sample):
            run.do(stage.STAGE)
        drawing, writing = [], []
        for round_ in range(REPEATS + 1):  # the first is to warm up
            run = open_run(spark, config(folder, round_))
            began = time.perf_counter()
            score_learnability.score(run)
            drawn = time.perf_counter()
            rows = run.lake.read(score_learnability.LEARNABILITY, run.key(STAGE))
            rows.write.format("delta").save(f"{folder}/copy-{round_}")
            drawing.append(drawn - began)
            writing.append(time.perf_counter() - drawn)
        for name, seconds in (("a round", drawing), ("writing its rows", writing)):
            print(f"{name}: {median(seconds[1:]):.1f} s of {[round(s, 1) for s in seconds[1:]]}")
        print(f"ratio: {median(drawing[1:]) / median(writing[1:]):.2f} at {n:,} rows")
    finally:
        spark.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
