"""What a machine is worth: slots, memory, speed, and what Spark and Python cost whatever the size.

The constants are figures of one machine (two Xeon cores of 110 GFLOP/s at best, local[2],
Spark 4.2, Delta 4.4, d = 256, a warm JVM); the calibration replaces the speed, not these.
"""

import math
from dataclasses import dataclass

GIB = 2**30

# Seconds, whatever the size: medians of logged runs.
COLD_SECONDS = 14.0  # first queries of a session: the JVM loads classes, Python workers start
JOB_SECONDS = 0.3  # one small mapInArrow job: planned, scheduled, collected
WRITE_SECONDS = 2.2  # one table: created, committed, counted and digested
EVENT_SECONDS = 0.7  # one row of the ledger; a stage writes two
CALL_SECONDS = 5e-4  # one pass in memory, however small

# Slot-seconds per byte of vectors, through the JVM, Arrow, Python and Parquet where each applies.
EMBED_PER_BYTE = 130e-9  # the pool joined by id, gated, kept, and written as array<float>
PACK_PER_BYTE = 40e-9  # embeddings read, shuffled as matrices, written as blocks
FETCH_PER_BYTE = 18e-9  # embeddings brought to the driver
READ_PER_BYTE = 8.6e-9  # a pass over the embeddings themselves
FILE_PER_BYTE = 0.2e-9  # a pass over blocks in the executors' files
SCAN_PER_BYTE = 1.4e-9  # rows of the pool that are chosen from by their hash
ROUTE_PER_BYTE = 22e-9  # embeddings read, to their cells by a shuffle, and sorted out
SHIP_PER_BYTE = 5e-9  # centroids broadcast, and read by each worker
# and per point
ASSIGN_PER_POINT = 6e-6  # an id, a path and a distance: made, written, digested
DRAW_PER_POINT = 2e-6  # ranked inside its leaf
REPORT_PER_POINT = 6e-6  # joined with a sample and a control

# Bytes of a process that has done nothing yet, and of a warm one.
WORKER_BASE = 0.17 * GIB  # numpy, pyarrow, pandas imported
DRIVER_BASE = 0.27 * GIB  # those and pyspark, plotly, scikit-learn
JVM_BASE = 0.9 * GIB  # Spark and Delta, code and stacks outside the heap included
EXECUTOR_OUTSIDE = 384 * 2**20  # of an executor's heap: Spark's own least overhead
JVM_OUTSIDE = 0.05  # of the heap, at most: buffers of Arrow and the network
JVM_PER_BYTE = 1.0  # heap that fills per byte of the pool's vectors, until the heap is full;
JVM_PER_FETCHED_BYTE = 2.0  # so much more where the driver fetches the points;
JVM_PER_FIRST_BYTE = 12.0  # and garbage, per byte of small pools,
JVM_GARBAGE = 1.8 * GIB  # up to here
FETCHED_COPIES = 1.5  # of the vectors in the driver's Python: as they came, and in order

WORKER_LIMIT = 1.5 * GIB  # of a Python worker: what a cluster's default container has room for


@dataclass(frozen=True)
class Speed:
    """How fast one slot finds nearest centroids while all are at it, at one vector length.

    Attributes
    ----------
    row_seconds : per row and pass, whatever the number of centroids
    pair_seconds : per row and centroid
    is_measured : by the calibration; else assumed
    """

    row_seconds: float
    pair_seconds: float
    is_measured: bool = True


def assumed_speed(n_features: int) -> Speed:
    """Return the speed of the machine above : 55 GFLOP/s a slot, 1 us of NumPy calls a row."""
    return Speed(0.5e-6 + 2e-9 * n_features, 2 * (n_features + 1) / 55e9, is_measured=False)


@dataclass(frozen=True)
class Machine:
    """The session and the host it is driven from.

    Attributes
    ----------
    n_slots : tasks that run at once
    n_threads : of the driver's own process, for the solver in memory
    heap : bytes of the JVM at the driver, spark.driver.memory
    worker_limit : bytes that one Python worker may hold
    host : bytes of the driver's host; None where it does not say
    is_local : driver and executors share the host and one JVM
    max_result : bytes that the tasks of one job may send to the driver
    n_workers : Python workers of one executor
    overhead : bytes that an executor's container has beside its heap, for all of these; None where
        the session does not say
    """

    n_slots: int
    n_threads: int
    heap: float
    speed: Speed
    worker_limit: float = WORKER_LIMIT
    host: float | None = None
    is_local: bool = True
    max_result: float = math.inf
    n_workers: int = 1
    overhead: float | None = None
