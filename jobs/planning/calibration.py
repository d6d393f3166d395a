"""The machine's speed at the product's own kernel, measured in a second or two."""

import time

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.planning.machine import Speed, assumed_speed
from udfs.kernels.exact.nearest import RUN_ROWS, Centroids, NearestCentroids
from udfs.kernels.passes.sources import in_threads
from udfs.kernels.passes.step import Arrays

FEW, MANY = 64, 512  # centroids: with few, NumPy's calls dominate; with many, the GEMM
SECONDS = 0.3  # spent on each of the two; the total stays far below 5
_SUMS = 1.3  # factor on a row's own time: a step also sums, sorts and copies
_SUSTAINED = 1.3  # factor on the fastest calls' time: threads share memory bandwidth and turbo
_UNDISTURBED = 0.1  # share of the calls taken to be undisturbed by other programs


def calibrate(n_features: int, n_threads: int) -> Speed:
    """Measure ``NearestCentroids`` at two values of k, with every slot of this host busy.

    Parameters
    ----------
    n_threads : slots or cores of this host; other hosts are assumed to be as fast
    """
    few, many = (_row_seconds(k, n_features, n_threads) for k in (FEW, MANY))
    pair = _SUSTAINED * max(many - few, many / 10) / (MANY - FEW)
    least = assumed_speed(n_features).row_seconds / 2  # in case noise hides the difference
    return Speed(max(_SUMS * (few - FEW * pair), least), pair)


def _row_seconds(n_clusters: int, n_features: int, n_threads: int) -> float:
    """Return one slot's seconds per row against that many centroids."""
    rng = np.random.default_rng(0)
    X = rng.integers(-(2**20), 2**20, (RUN_ROWS, n_features)).astype(np.float32)
    C = rng.integers(-(2**20), 2**20, (n_clusters, n_features)).astype(np.float32)

    def task(_: int) -> Arrays:
        nearest = NearestCentroids(Centroids(C))
        calls: list[float] = []
        nearest(X)  # buffers and the GEMM's right-hand side
        began = time.perf_counter()
        while (now := time.perf_counter()) < began + SECONDS:
            nearest(X)
            calls.append(time.perf_counter() - now)
        return {"seconds": np.array(np.quantile(calls, _UNDISTURBED))}

    with threadpool_limits(1):
        measured = in_threads(task, range(n_threads), n_threads)
    return float(np.mean([one["seconds"] for one in measured])) / RUN_ROWS
