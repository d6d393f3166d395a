"""How near joint selection comes to sgemm's peak, one process per core, and a worker's memory.

Each process does what a task does: it draws batches from super-batches of packed embeddings, with
the controls and figures. Its own sgemm (2048 x 2048) is timed between them, and times are of the
processor, not the clock, so that a share means something on a busy machine too. Two shares: of all
products' operations over a task's whole time, and over the time of the draw alone.

Run: python -m tests.benchmarks.joint_selection [--pairs 100000] [--features 512] [--loss sigmoid]
"""

import argparse
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from udfs.joint import Drawing, coordinates_of, make_draw
from udfs.kernels.joint.dots import to_coordinates
from udfs.kernels.joint.draws import draw_jointly
from udfs.kernels.joint.losses import FORMS, Calibration
from udfs.kernels.joint.sums import looked_up
from udfs.points import as_binary

SUPER, SIZE, CHUNKS, PREFILTER = 8192, 1632, 16, 0.3
PEAK_ROWS = 2048
OF = Calibration(20.0, -10.0)


class Timed(NamedTuple):
    """What one super-batch took.

    Attributes
    ----------
    flop, seconds : of the whole task
    draw_flop, draw_seconds : of the draw alone
    peak : operations a second of a plain sgemm, the median of six just before and after: its best
        moment on a busy machine is no measure for what takes long
    """

    flop: float
    seconds: float
    draw_flop: float
    draw_seconds: float
    peak: float


def one_process(number: int, n_super: int, n_features: int, loss: str) -> tuple[list[Timed], int]:
    """Draw from super-batches; return the times and the process's peak memory in bytes."""
    how = Drawing(loss, OF, OF, SIZE, CHUNKS, PREFILTER)
    with threadpool_limits(1):
        timed = [_timed(number * n_super + i, n_features, how) for i in range(n_super)]
    return timed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _timed(seed: int, n_features: int, how: Drawing) -> Timed:
    rows = _super_batch(seed, n_features)
    before = _sgemms(n_features)
    start = time.process_time()
    make_draw(how)(rows)
    seconds = time.process_time() - start
    some = rows.slice(0, SUPER - int(PREFILTER * SUPER))
    models = []
    for side in ("learner", "reference"):
        image, text = (coordinates_of(some[f"{name}_{side}"]) for name in ("image", "text"))
        models.append(FORMS[how.form](image, text, OF, looked_up))
    start = time.process_time()
    draw_jointly(*models, some["hash"].to_numpy(), SIZE, CHUNKS)
    draw_seconds = time.process_time() - start
    # both models, both ways; all of the batch but its last chunk, by the pairs admitted
    draw_flop = 4 * 2.0 * n_features * len(some) * (SIZE - SIZE // CHUNKS)
    ways = 1 if how.form == "sigmoid" else 2
    figures = 3 * 2 * ways * 2.0 * n_features * SIZE**2  # three batches by both models
    peak = float(np.median(before + _sgemms(n_features)))
    return Timed(draw_flop + figures, seconds, draw_flop, draw_seconds, peak)


def _sgemms(n_features: int) -> list[float]:
    A, B = np.ones((2, PEAK_ROWS, n_features), np.float32)  # A @ A.T would be a syrk
    seconds = []
    for _ in range(3):
        start = time.process_time()
        A @ B.T
        seconds.append(time.process_time() - start)
    return [2.0 * PEAK_ROWS**2 * n_features / took for took in seconds]


def _super_batch(seed: int, n_features: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns = {
        "super_batch": pa.array(np.zeros(SUPER, np.int64)),
        "id": pa.array(np.arange(SUPER)),
        "hash": pa.array(rng.integers(-(2**63), 2**63 - 1, SUPER)),
    }
    for side, noise in (("learner", 1.0), ("reference", 0.5)):
        image = rng.standard_normal((SUPER, n_features), dtype=np.float32)
        text = image + noise * rng.standard_normal(image.shape, dtype=np.float32)
        for name, X in (("image", image), ("text", text)):
            unit = X / np.linalg.norm(X, axis=1, keepdims=True)
            columns[f"{name}_{side}"] = as_binary(to_coordinates(unit), np.arange(SUPER + 1))
    return pa.table(columns)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.joint_selection")
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--loss", choices=[*FORMS], default="sigmoid")
    asked = parser.parse_args()
    n_cores = len(os.sched_getaffinity(0))
    n_super = -(-asked.pairs // SUPER // n_cores)
    load = os.getloadavg()[0]
    with ProcessPoolExecutor(n_cores, get_context("spawn")) as pool:
        given = (range(n_cores), *([value] * n_cores for value in (n_super, asked.features)))
        results = [*pool.map(one_process, *given, [asked.loss] * n_cores)]
    timed = np.array([each for times, _ in results for each in times])
    flop, seconds, draw_flop, draw_seconds, peak = timed.T
    memory = max(bytes_ for _, bytes_ in results)
    whole, draw = flop / seconds / peak, draw_flop / draw_seconds / peak
    print(f"{n_cores} processes, {len(timed)} super-batches of {SUPER} x {asked.features}")
    print(f"load before {load:.1f}, after {os.getloadavg()[0]:.1f}")
    print(f"sgemm {np.median(peak) / 1e9:.0f} GFLOP/s a process (median)")
    for name, share, took in (("whole task", whole, seconds), ("draw alone", draw, draw_seconds)):
        print(
            f"{name}: {np.median(took):.2f} s a super-batch, {np.median(share):.0%} of sgemm "
            f"(median; {share.min():.0%}-{share.max():.0%})"
        )
    print(f"peak memory of a process: {memory / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
