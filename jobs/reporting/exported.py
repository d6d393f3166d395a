"""The page as a file next to the tables, if those are on this machine's file system."""

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.compute

from jobs.tables.lake import PAGES


def page_path(folder: Path, run_id: str) -> Path:
    """Return where a run's page goes, in its root's folder."""
    return folder / PAGES / f"{run_id}.html"


def content_of(artifacts: pa.Table, name: str) -> bytes:
    """Return the artifact of a name from columns name and content."""
    (content,) = artifacts.filter(pa.compute.field("name") == name)["content"].to_pylist()
    return bytes(content)


def is_written(path: Path) -> bool:
    """Return whether a page is there, and no link in its place."""
    return path.is_file() and not path.is_symlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically, never following a link that someone left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{uuid.uuid4().hex}")
    written.write_bytes(content)
    written.replace(path)
