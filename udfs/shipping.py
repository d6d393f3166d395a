"""Arrays on their way to the executors: what a task holds in place of a large array."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_cached: dict[str, NDArray[Any]] = {}  # the array that this worker process used last


@dataclass(frozen=True)
class Shipped:
    """A large array that tasks can ``get``; small itself.

    Attributes
    ----------
    carrier : a Spark broadcast of bytes, the bytes themselves, or the name of a shipped .npy file
    release : frees the carrier; call it on the driver
    """

    carrier: Any
    shape: tuple[int, ...]
    dtype: str
    digest: str
    release: Callable[[], None] = field(default=lambda: None, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the driver's part behind when shipped."""
        return {k: v for k, v in self.__dict__.items() if k != "release"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive on a worker."""
        self.__dict__.update(state, release=lambda: None)

    def get(self) -> NDArray[Any]:
        """Return the array, read-only; loaded once per worker process."""
        if self.digest not in _cached:
            _cached.clear()
            _cached[self.digest] = self._load()
        return _cached[self.digest]

    def _load(self) -> NDArray[Any]:
        if isinstance(self.carrier, str):
            from pyspark import SparkFiles

            path = SparkFiles.get(self.carrier)
            mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
            return mapped
        content = self.carrier if isinstance(self.carrier, bytes) else self.carrier.value
        return np.frombuffer(content, dtype=self.dtype).reshape(self.shape)


def digest_of(content: bytes) -> str:
    """Name bytes by their content."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def unpacked(name: str) -> str | None:
    """Return the folder where Spark has unpacked an archive for this task, None if it has not."""
    from pyspark import SparkFiles, TaskContext

    if TaskContext.get() is None:
        return None
    folder = os.path.join(SparkFiles.getRootDirectory(), name)
    return folder if os.path.isdir(folder) else None


def own_gpu() -> int:
    """Return the number of the GPU that is this task's: as Spark assigns them, or in turns."""
    from pyspark import TaskContext

    task = TaskContext.get()
    if task is None:
        return 0
    given = task.resources().get("gpu")
    return int(given.addresses[0]) if given else task.partitionId()
