"""Ship an array to the executors by the best way that the session offers."""

import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from udfs.shipping import Shipped, digest_of

CLOSURE_BYTES = 8 << 20  # on Connect, smaller arrays travel with the function
FILE_BYTES = 256 << 20  # elsewhere, larger ones as a file: a broadcast fills every worker's memory


def ship(spark: SparkSession, array: NDArray[Any]) -> Shipped:
    """Make an array available to tasks.

    Classic sessions broadcast its bytes (an ndarray itself does not survive I/O encryption);
    Connect sends small arrays with the function. Large ones go as a file, which workers map: they
    hold what they read of it.
    """
    content = np.ascontiguousarray(array).tobytes()
    described = (array.shape, array.dtype.str, digest_of(content))
    if not is_remote() and len(content) <= FILE_BYTES:
        broadcast = spark.sparkContext.broadcast(content)
        return Shipped(broadcast, *described, release=broadcast.destroy)
    if len(content) <= CLOSURE_BYTES:
        return Shipped(content, *described)
    name = f"evenlake-{uuid.uuid4().hex}.npy"  # names of artifacts and files are write-once
    folder = tempfile.TemporaryDirectory(prefix="evenlake-")
    path = str(Path(folder.name) / name)
    np.save(path, array)
    if not is_remote():  # executors come for the file when they need it
        spark.sparkContext.addFile(path)
        return Shipped(name, *described, release=folder.cleanup)
    with folder:
        spark.addArtifact(path, file=True)
    return Shipped(name, *described)
