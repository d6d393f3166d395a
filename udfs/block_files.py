"""Blocks as files on executors' local disks: they go from the JVM to Python once, not per pass.

Spark keeps the rows that name the files, so tasks run where their files are, and recomputing a lost
executor's rows rewrites its files. If a file could not be written, or cannot be found later, a pass
reports the blocks that it skipped.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.blocks import Missing, points_in
from udfs.kernels.exact.nearest import RUN_ROWS
from udfs.kernels.passes.sources import Batch
from udfs.kernels.passes.step import block_of, positions
from udfs.points import Batches, OnBatches, Points, gathered

FILES_SCHEMA = "path string, block_ids binary, n_rows binary"


def make_keep(n_features: int) -> OnBatches:
    """Return a function that writes a task's blocks to one file, in order, and yields its name."""

    def keep(batches: Batches) -> Batches:
        file, blocks = _ScratchFile(), [np.empty((2, 0), np.int32)]
        for batch in batches:
            file.write(points_in(batch, n_features)[1])
            blocks.append(np.stack([batch.column(n).to_numpy() for n in ("block_id", "n_rows")]))
        block_ids, n_rows = (part.tobytes() for part in np.concatenate(blocks, axis=1))
        row = {"path": [file.close()], "block_ids": [block_ids], "n_rows": [n_rows]}
        yield pa.RecordBatch.from_pydict(row)

    return keep


class _ScratchFile:
    """A file beside Spark's own, removed when the executor ends; gives up on a disk error."""

    def __init__(self) -> None:
        self._path = ""
        self._file: io.FileIO | None = None
        folders = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")  # Spark sets it for its workers
        if folder := folders[os.getpid() % len(folders)]:
            with contextlib.suppress(OSError):
                handle, self._path = tempfile.mkstemp(".f4", "evenlake-", folder)
                self._file = io.FileIO(handle, "wb")

    def write(self, X: NDArray[np.float32]) -> None:
        """Append vectors."""
        if self._file is not None:
            try:
                self._file.write(X.data)
            except OSError:
                self.close()
                os.unlink(self._path)  # other processes may need the space

    def close(self) -> str:
        """Close the file and return its path; the reader checks that it is complete."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return self._path


@dataclass(frozen=True)
class FromFiles:
    """Reads the points of files, RUN_ROWS at a time in one buffer.

    Attributes
    ----------
    batch : the blocks to read; None for all
    """

    n_features: int
    batch: Batch | None = None

    def __call__(self, batches: Batches, missing: Missing) -> Iterator[Points]:
        """Read the files that rows of FILES_SCHEMA name."""
        buffer = np.empty((RUN_ROWS, self.n_features), np.float32)
        for batch in batches:
            sizes = gathered([batch], block_ids="i4", n_rows="i4").values()
            for path, block_ids, n_rows in zip(
                batch.column("path").to_pylist(), *sizes, strict=True
            ):
                where = positions(block_ids, n_rows)
                if _size(path) != len(where) * buffer[0].nbytes:
                    missing.append(block_ids.tobytes())
                    continue
                with io.FileIO(path) as file:
                    yield from self._points(file, where, buffer)

    def _points(
        self, file: io.FileIO, where: NDArray[np.int64], buffer: NDArray[np.float32]
    ) -> Iterator[Points]:
        rows = np.arange(len(where))
        if self.batch is not None:
            rows = rows[block_of(where) % self.batch.n_batches < self.batch.size]
        for start in range(0, len(rows), RUN_ROWS):
            run = rows[start : start + RUN_ROWS]
            breaks = np.flatnonzero(np.diff(run) > 1) + 1
            for a, b in pairwise([0, *breaks.tolist(), len(run)]):
                file.seek(int(run[a]) * buffer[0].nbytes)
                if file.readinto(buffer[a:b].data) != buffer[a:b].nbytes:
                    raise OSError(f"{file.name} ends early: something else has written to it")
            yield where[run], buffer[: len(run)]


def _size(path: str) -> int:
    """Return a file's size in bytes, -1 if there is no file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def make_forget() -> OnBatches:
    """Return a function that removes the files that rows of FILES_SCHEMA name."""

    def forget(batches: Batches) -> Batches:
        for batch in batches:
            for path in batch.column("path").to_pylist():
                with contextlib.suppress(OSError):
                    os.unlink(path)
            yield batch.slice(0, 0)

    return forget
