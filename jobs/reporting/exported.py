"""The page as a file next to the tables, if those are in a local folder."""

import uuid
from pathlib import Path
from urllib.parse import urlparse

from jobs.tables.lake import PAGES


def page_path(root: str | None, run_id: str) -> Path | None:
    """Return where a run's page goes; None if the root is not a local folder."""
    uri = urlparse(root or "")
    if root is None or uri.scheme not in ("", "file"):
        return None
    return Path(uri.path if uri.scheme else root).absolute() / PAGES / f"{run_id}.html"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically, never following a link that someone left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{uuid.uuid4().hex}")
    written.write_bytes(content)
    written.replace(path)
