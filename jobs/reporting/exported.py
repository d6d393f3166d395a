"""The page as a file next to the tables, if those are on this machine's file system."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute

from jobs.tables.lake import PAGES


@dataclass(frozen=True)
class Exported:
    """A page that was written; as text, its main findings and where it is."""

    said: list[str]
    report_path: str

    def __str__(self) -> str:
        """Return the lines."""
        return "\n".join([*self.said, f"report: {self.report_path}"])


def exported(folder: Path, run_id: str, content: Callable[[], bytes], *, is_kept: bool) -> str:
    """Write a run's page into its root's folder; return its path.

    Parameters
    ----------
    is_kept : whether an existing page stays
    """
    path = folder / PAGES / f"{run_id}.html"
    if not (is_kept and path.is_file() and not path.is_symlink()):
        write_whole(path, content())
    return str(path)


def content_of(artifacts: pa.Table, name: str) -> bytes:
    """Return the artifact of a name from columns name and content."""
    (content,) = artifacts.filter(pa.compute.field("name") == name)["content"].to_pylist()
    return bytes(content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically, never following a link that someone left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{uuid.uuid4().hex}")
    written.write_bytes(content)
    written.replace(path)
