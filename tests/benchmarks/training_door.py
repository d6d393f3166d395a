"""Exported batches beside pyarrow alone: how many rows a second reach the trainer.

Both read the same files with the same number of processes, and yield every batch as arrays; in
turn, N_REPEATS times. The rival is what one would write for one's own files: iter_batches of
``ParquetFile``, files shared among processes. Ratios are of rows a second and, for busy machines,
of rows a CPU second.

Run: python -m tests.benchmarks.training_door [N_REPEATS]
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.training.batches import Batches, Reader
from jobs.training.index import INDEX, File, Index, read_index

# rows, rows of a batch, batches of a row group (as the export lays them out), numbers of a vector
SHAPES = {
    "vectors of 256": (40_000, 256, 1, 256),
    "vectors of 256, batches of 2048": (40_000, 2048, 1, 256),
    "two numbers": (800_000, 256, 32, 0),
}
N_FILES = 4


def write(folder: Path, n_rows: int, size: int, per_group: int, n_features: int) -> None:
    """Write an export as Spark would."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    n_batches = -(-n_rows // size)
    per_file = -(-n_batches // N_FILES)
    files = []
    for first in range(0, n_batches, per_file):
        rows = np.arange(first * size, min((first + per_file) * size, n_rows))
        columns: dict[str, Any] = {
            "batch_id": rows // size,
            "position": (rows % size).astype("i4"),
            "id": rows,
            "weight": rng.random(len(rows)),
        }
        if n_features:
            flat = pa.array(rng.standard_normal(len(rows) * n_features, dtype="f4"))
            offsets = np.arange(len(rows) + 1, dtype="i4") * n_features
            columns["vector"] = pa.ListArray.from_arrays(offsets, flat)
        path = f"part-{len(files):05}.parquet"
        pq.write_table(pa.table(columns), folder / path, row_group_size=size * per_group)
        files.append(File(path, int(rows[0]) // size, int(rows[-1]) // size, len(rows)))
    index = Index(n_batches, n_rows, [*columns], files, rounds=[], source={})
    (folder / INDEX).write_text(index.to_json())


def ours(folder: str, worker: int, n_workers: int, *, shuffle: bool = False) -> Iterator[Any]:
    """Read a worker's batches through the door."""
    batches = Batches(folder, shuffle=shuffle)
    batches.reader = lambda: Reader(worker, n_workers, is_main=False)  # type: ignore[method-assign]  # as torch has it
    yield from batches


def shuffled(folder: str, worker: int, n_workers: int) -> Iterator[Any]:
    """Read them in random order."""
    return ours(folder, worker, n_workers, shuffle=True)


def pyarrow_alone(folder: str, worker: int, n_workers: int) -> Iterator[Any]:
    """Read every n-th file, batch by batch; all row groups hold whole batches."""
    index = read_index(folder)
    names = [name for name in index.columns if name not in ("batch_id", "position")]
    size = -(-index.n_rows // index.n_batches)
    for file in index.files[worker::n_workers]:
        parquet = pq.ParquetFile(f"{folder}/{file.path}", pre_buffer=True)
        for batch in parquet.iter_batches(size, columns=names, use_threads=False):
            yield {
                name: np.array(column.to_numpy(zero_copy_only=False))
                if name != "vector"
                else np.array(column.flatten().to_numpy()).reshape(len(batch), -1)
                for name, column in zip(names, batch.columns, strict=True)
            }


def _counted(read: Callable[..., Iterator[Any]], *given: Any) -> tuple[int, float]:
    """Return the rows that a process has read, and its CPU seconds."""
    start = time.process_time()
    return sum(len(batch["id"]) for batch in read(*given)), time.process_time() - start


def speeds(
    read: Callable[..., Iterator[Any]], folder: str, n_processes: int, n_rows: int
) -> tuple[float, float]:
    """Return the rows per second, and per CPU second, that reach consumers in each process."""
    shares = [(read, folder, worker, n_processes) for worker in range(n_processes)]
    with get_context("spawn").Pool(n_processes) as pool:
        pool.starmap(_counted, shares, chunksize=1)  # imports, and the files' pages
        start = time.perf_counter()
        found = pool.starmap(_counted, shares, chunksize=1)
        seconds = time.perf_counter() - start
    n_read, cpu = (sum(values) for values in zip(*found, strict=True))
    assert n_read == n_rows
    return n_rows / seconds, n_rows / cpu


def main() -> None:
    """Print rows a second, and the ratios of the repeats."""
    n_repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ways = {"ours": ours, "shuffled": shuffled, "pyarrow": pyarrow_alone}
    with tempfile.TemporaryDirectory() as home:
        for number, (name, shape) in enumerate(SHAPES.items()):
            folder = Path(home) / f"{number}"
            write(folder, *shape)
            for n in (1, 2):
                turns = [
                    {who: speeds(read, str(folder), n, shape[0]) for who, read in ways.items()}
                    for _ in range(n_repeats)
                ]
                for who in ("ours", "shuffled"):
                    print(f"{name}, {n} processes, {who}: {_told(turns, who)}", flush=True)


def _told(turns: Sequence[Mapping[str, tuple[float, float]]], who: str) -> str:
    mine, theirs = (median(turn[way][0] for turn in turns) for way in (who, "pyarrow"))
    wall, cpu = (sorted(turn[who][i] / turn["pyarrow"][i] for turn in turns) for i in (0, 1))
    return (
        f"{mine:,.0f} rows/s, pyarrow {theirs:,.0f}; ratio {median(wall):.2f} "
        f"({wall[0]:.2f} to {wall[-1]:.2f}), of CPU {median(cpu):.2f} "
        f"({cpu[0]:.2f} to {cpu[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
