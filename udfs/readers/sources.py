"""Where a task's input is: a local file, or the bytes of one that Spark fetched."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa


class UnreadableError(ValueError):
    """A file that is not what its form asks for: got, want, fix."""


@dataclass(frozen=True)
class Source:
    """One file, or some of its rows.

    Attributes
    ----------
    path : as Spark writes it, such as ``file:/pool/a.npy``
    content : the file's bytes; None if it is local
    start, stop : rows; a stop of -1 is the end
    """

    path: str
    content: bytes | None = None
    start: int = 0
    stop: int = -1

    @property
    def local(self) -> str:
        """The path of a local file."""
        return self.path.removeprefix("file://").removeprefix("file:")

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return io.BytesIO(self.content) if self.content is not None else open(self.local, "rb")


@contextmanager
def read_as(path: str, form: str) -> Iterator[None]:
    """Add the file's name to any error raised while it is read, in one line.

    Raises
    ------
    UnreadableError
    """
    try:
        yield
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableError(
            f"{path} cannot be read as {form}: {said}; want a whole file: copy or write it again"
        ) from error


def as_text(values: list[bytes | None]) -> pa.Array:
    """Return bytes as strings, unchecked: what is not UTF-8 is found later, row by row."""
    return pa.array(values, pa.binary()).view(pa.string())
