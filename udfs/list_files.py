"""Shortlists as files on the executors' own disks, each beside the file of its points' blocks."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from glob import escape, glob
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.shortlists import Lists


class ListsBeside:
    """Shortlists in a file beside that of the blocks; a ``ShortlistMemory``.

    They are made in the first pass over a file's points and read in the later ones, which go over
    them in the same order. A pass over points from elsewhere finds none, and keeps none.

    Attributes
    ----------
    name : of the anchors and the batch; lists of others are removed once these are there
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._known: Lists | None = None
        self._made: list[Lists] | None = None
        self._n_read = 0

    @contextlib.contextmanager
    def of(self, path: str) -> Iterator[None]:
        """Turn to the points of one file of blocks, and keep what is made for them."""
        file = f"{path}.{self.name}.npy"
        self._known, self._made, self._n_read = None, None, 0
        try:
            self._known = np.load(file, allow_pickle=False)
        except (OSError, ValueError):
            self._made = []
        yield
        if self._made:
            with contextlib.suppress(OSError):  # a full disk: they are made again
                _replace_lists(path, file, np.concatenate(self._made))
        self._known, self._made = None, None

    def recall(self, where: NDArray[np.int64], make: Callable[[], Lists]) -> Lists:
        """Return the next run's lists."""
        if self._known is not None:
            self._n_read += len(where)
            return self._known[self._n_read - len(where) : self._n_read]
        lists = make()
        if self._made is not None:
            self._made.append(lists)
        return lists


def _replace_lists(path: str, file: str, lists: Lists) -> None:
    """Put lists in place whole, and remove older ones."""
    handle, scratch = tempfile.mkstemp(".part", f"{Path(path).name}.", Path(path).parent)
    try:
        with os.fdopen(handle, "wb") as out:
            np.save(out, lists)
        os.replace(scratch, file)
    except OSError:
        os.unlink(scratch)
        raise
    for old in files_beside(path):
        if old != file:
            os.unlink(old)


def files_beside(path: str) -> list[str]:
    """Return the files of lists beside one of blocks."""
    return glob(f"{escape(path)}.*.npy")
