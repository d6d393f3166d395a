"""Arrays on their way to the executors: what a task holds in place of a large array."""

import hashlib
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
