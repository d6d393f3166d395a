"""What a machine offers: slots, memory, speed, and the fixed costs of Spark and Python.

The constants were measured on one machine (two Xeon cores of 110 GFLOP/s at best, local[2],
Spark 4.2, Delta 4.4, d = 256, a warm JVM); the calibration replaces the speed, not these.
"""

import math
from dataclasses import dataclass

GIB = 2**30

# Seconds, independent of size: medians of logged runs.
COLD_SECONDS = 14.0  # first queries of a session: the JVM loads classes, Python workers start
JOB_SECONDS = 0.3  # one small mapInArrow job: planned, scheduled, collected
WRITE_SECONDS = 0.8  # one table: created, committed, counted and hashed
EVENT_SECONDS = 0.5  # one row of the ledger; a stage writes two
CALL_SECONDS = 5e-4  # one pass in memory, however small

# Slot-seconds per byte of vectors, through the JVM, Arrow, Python and Parquet as applicable.
EMBED_PER_BYTE = 130e-9  # the pool joined by id, gated, persisted, and written as array<float>
PACK_PER_BYTE = 40e-9  # embeddings read, shuffled as matrices, written as blocks
FETCH_PER_BYTE = 18e-9  # embeddings brought to the driver
READ_PER_BYTE = 8.6e-9  # a pass over the embeddings themselves
FILE_PER_BYTE = 0.2e-9  # a pass over blocks in the executors' files
SCAN_PER_BYTE = 1.4e-9  # a scan of the pool that picks rows by their hash
ROUTE_PER_BYTE = 22e-9  # embeddings read, shuffled to their cells, and sorted
SHIP_PER_BYTE = 5e-9  # centroids broadcast, and read by each worker
# Slot-seconds per point.
ASSIGN_PER_POINT = 6e-6  # an id, a path and a distance: made, written, hashed
DRAW_PER_POINT = 2e-6  # ranked inside its leaf
REPORT_PER_POINT = 6e-6  # joined with a sample and a control

# Bytes of idle Python processes, and of a warm JVM.
WORKER_BASE = 0.17 * GIB  # numpy, pyarrow, pandas imported
DRIVER_BASE = 0.27 * GIB  # those and pyspark, plotly, scikit-learn
JVM_BASE = 0.9 * GIB  # Spark and Delta, code and stacks outside the heap included
EXECUTOR_OUTSIDE = 384 * 2**20  # outside an executor's heap: Spark's own minimum overhead
JVM_OUTSIDE = 0.05  # outside the heap, as a share of it: buffers of Arrow and the network, at most
JVM_PER_BYTE = 1.0  # heap used per byte of the pool's vectors, until the heap is full;
JVM_PER_FETCHED_BYTE = 2.0  # this much more if the driver fetches the points;
JVM_PER_FIRST_BYTE = 12.0  # plus garbage, per byte of small pools,
JVM_GARBAGE = 1.8 * GIB  # upper bound of the garbage
FETCHED_COPIES = 1.5  # copies of the vectors in the driver's Python: as received, and in order

WORKER_LIMIT = 1.5 * GIB  # per Python worker: what a cluster's default container has room for


@dataclass(frozen=True)
class Speed:
    """How fast one slot finds nearest centroids while all slots are busy, at one vector length.

    Attributes
    ----------
    row_seconds : per row and pass, whatever the number of centroids
    pair_seconds : per row and centroid
    is_measured : whether the calibration measured it; otherwise it is assumed
    """

    row_seconds: float
    pair_seconds: float
    is_measured: bool = True


def assumed_speed(n_features: int) -> Speed:
    """Return the speed of the machine above: 55 GFLOP/s per slot, 1 us of NumPy calls per row."""
    return Speed(0.5e-6 + 2e-9 * n_features, 2 * (n_features + 1) / 55e9, is_measured=False)


@dataclass(frozen=True)
class Machine:
    """The session and its driver's host.

    Attributes
    ----------
    n_slots : tasks that run at once
    n_threads : threads of the driver's own process, for the in-memory solver
    heap : bytes of the JVM at the driver, spark.driver.memory
    worker_limit : bytes that one Python worker may hold
    host : bytes of the driver's host; None if unknown
    is_local : driver and executors share the host and one JVM
    max_result : bytes that the tasks of one job may send to the driver
    n_workers : Python workers of one executor
    overhead : bytes of an executor's container beyond its heap, shared by its workers; None if the
        session does not say
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
