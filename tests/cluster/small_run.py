"""The whole small run that every kind of cluster repeats: 600 digits as vectors, in two levels."""

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pyspark.sql import SparkSession
from sklearn.datasets import load_digits

from jobs import curate
from jobs.config.loading import load_config
from tests.jobs.determinism import SORTED_BY

N_POINTS, N_SAMPLED = 600, 100
PREFIX = "evenlake_"  # of tables in a schema


def write_inputs(folder: Path) -> Path:
    """Write the pool and a config for it, with an output that is still to be named."""
    digits = load_digits()
    vectors = digits.data[:N_POINTS].astype(np.float32)
    ids = [f"digit-{i:04d}" for i in range(N_POINTS)]
    labels = [str(target) for target in digits.target[:N_POINTS]]
    pool = pa.table({"id": ids, "embedding": list(vectors), "digit": labels})
    pq.write_table(pool, folder / "pool.parquet")
    config: dict[str, Any] = {
        "input": {
            "table": str(folder / "pool.parquet"),
            "embedding": "embedding",
            "metadata": ["digit"],
        },
        "output": {"root": str(folder / "lake")},
        # by passes on the executors
        "cluster": {"levels": [60, 10], "solver": "spark", "resampling": {"rounds": 1}},
        "samples": [{"name": "balanced", "target_size": N_SAMPLED, "share": {"leaves": 0.0}}],
        "report": {"label": "digit"},
    }
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def content_of(spark: SparkSession, folder: Path, prefix: str = "") -> dict[str, str]:
    """Return a hash of each table's sorted rows, byte by byte, from the folders of one run."""
    return {
        table: _hashed(spark.read.format("delta").load(f"{folder}/{prefix}{table}").toArrow(), by)
        for table, by in SORTED_BY.items()
    }


def _hashed(rows: pa.Table, by: Sequence[str]) -> str:
    assert len(rows) > 0
    ordered = rows.sort_by([(column, "ascending") for column in by]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ordered.schema) as stream:
        stream.write_table(ordered)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def curated_here(spark: SparkSession, folder: Path) -> dict[str, str]:
    """Curate what `write_inputs` wrote in this session; return the content of the tables."""
    curate.run(spark, load_config(folder / "my.yaml", [f"output.root={folder}/expected"]))
    return content_of(spark, folder / "expected")


def run_in(
    folder: Path, command: Sequence[object], environment: Mapping[str, str], *, timeout: float = 500
) -> str:
    """Run a command in an empty folder, where nothing is found by accident; return its stdout."""
    folder.mkdir()
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert [*folder.iterdir()] == []
    return done.stdout
