"""Curate a pool that no process has the memory to hold; print each process's peak.

1,200,000 x 256 are 1.14 GiB of vectors. The JVM's heap is smaller; Python workers run with limited
address space; the driver's Python is watched.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from jobs import curate
from jobs.config.loading import parse_config
from jobs.config.model import SparkConfig
from jobs.spark.session import start_local

N_POINTS, N_FEATURES, N_CONCEPTS = 1_200_000, 256, 500
HEAP, WORKER = "1g", "1000m"  # an idle worker takes 370 MB of address space
_ROWS_AT_ONCE = 50_000


def write_pool(path: Path) -> None:
    """Write concepts of Zipf sizes, piece by piece."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((N_CONCEPTS, N_FEATURES), dtype=np.float32)
    share = 1 / np.arange(1, N_CONCEPTS + 1)
    schema = pa.schema({"id": pa.int64(), "embedding": pa.list_(pa.float32())})
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for start in range(0, N_POINTS, _ROWS_AT_ONCE):
            concepts = rng.choice(N_CONCEPTS, _ROWS_AT_ONCE, p=share / share.sum())
            X = rng.standard_normal((_ROWS_AT_ONCE, N_FEATURES), dtype=np.float32)
            X += centres[concepts]
            offsets = np.arange(_ROWS_AT_ONCE + 1, dtype=np.int32) * N_FEATURES
            rows = pa.ListArray.from_arrays(pa.array(offsets), pa.array(X.ravel()))
            ids = pa.array(np.arange(start, start + _ROWS_AT_ONCE))
            writer.write_table(pa.table([ids, rows], schema=schema))


def watch(peaks: dict[str, int], over: threading.Event) -> None:
    """Record the most bytes resident in the driver, the JVM and any worker."""
    me = psutil.Process()
    while not over.is_set():
        for process in [me, *me.children(recursive=True)]:
            try:
                # not by name: between fork and exec, a child has a thread's name and all
                # of the JVM's memory
                is_java, rss = "java" in Path(process.exe()).name, process.memory_info().rss
            except psutil.Error:
                continue
            name = "driver" if process == me else "jvm" if is_java else "worker"
            peaks[name] = max(peaks.get(name, 0), rss)
        time.sleep(0.2)


def main(folder: Path) -> None:
    """Print peaks in bytes, and the sample's size, as JSON."""
    pool = folder / "pool.parquet"
    if os.fork() == 0:  # in its own process, so that its memory is freed
        write_pool(pool)
        os._exit(0)
    os.wait()
    config = parse_config(
        {
            "input": {"table": str(pool), "embedding": "embedding"},
            "output": {"root": str(folder / "lake")},
            "cluster": {"levels": [6000, 600], "solver": "spark", "resampling": {"rounds": 0}},
            "samples": [{"name": "balanced", "target_size": 5000, "share": {"leaves": 0.0}}],
        }
    )
    os.environ["PYSPARK_EXECUTOR_MEMORY_MB"] = WORKER.removesuffix("m")
    peaks: dict[str, int] = {}
    over = threading.Event()
    spark = start_local(SparkConfig(master="local[2]", driver_memory=HEAP, shuffle_partitions=16))
    watcher = threading.Thread(target=watch, args=(peaks, over), daemon=True)
    watcher.start()
    summary = curate.run(spark, config)
    over.set()
    watcher.join()
    n_sampled = spark.read.format("delta").load(summary.samples["balanced"]).count()
    print(json.dumps({"peaks": peaks, "n_sampled": n_sampled}))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
