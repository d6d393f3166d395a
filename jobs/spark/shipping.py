"""Ship arrays and code to the executors in the best way the session offers."""

import atexit
import shutil
import tempfile
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs.spark.classic import add_archive, add_python_code, application_id, broadcast
from udfs.shipping import Shipped, digest_of

_sent: set[tuple[str, str]] = set()  # (session, path): artifacts can be written only once

CLOSURE_BYTES = 8 << 20  # on Connect, smaller arrays travel with the function


def ship(spark: SparkSession, array: NDArray[Any]) -> Shipped:
    """Make an array available to tasks.

    Classic sessions broadcast its bytes (an ndarray itself does not survive I/O encryption);
    Connect sends small arrays with the function and large ones as a file artifact.
    """
    content = np.ascontiguousarray(array).tobytes()
    described = (array.shape, array.dtype.str, digest_of(content))
    shared = broadcast(spark, content)
    if shared is not None:
        return Shipped(shared[0], *described, release=shared[1])
    if len(content) <= CLOSURE_BYTES:
        return Shipped(content, *described)
    name = f"evenlake-{uuid.uuid4().hex}.npy"  # artifacts can be written only once
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / name, array)
        spark.addArtifact(str(Path(folder) / name), file=True)
    return Shipped(name, *described)


@cache
def kept_folder() -> Path:
    """Return a folder that lasts as long as the process: Spark serves files from their place."""
    folder = tempfile.mkdtemp(prefix="evenlake-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def ship_code(spark: SparkSession, path: str) -> None:
    """Put a .zip of Python code on the workers' path for later tasks."""
    if (key := _session_and(spark, path)) not in _sent:
        if not add_python_code(spark, path):
            spark.addArtifacts(path, pyfile=True)
        _sent.add(key)


def ship_archive(spark: SparkSession, path: str) -> None:
    """Have a .zip unpacked on every machine, under its name without the suffix, for later tasks."""
    if (key := _session_and(spark, path)) not in _sent:
        named = f"{path}#{Path(path).stem}"
        if not add_archive(spark, named):
            spark.addArtifacts(named, archive=True)
        _sent.add(key)


def _session_and(spark: SparkSession, path: str) -> tuple[str, str]:
    """Return what a file is known by in ``_sent`` once this session's workers have it."""
    connect: Any = spark  # its sessions have an id of their own
    return application_id(spark) or str(connect.session_id), path
