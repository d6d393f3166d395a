"""Paths, names and text, as Delta and SQL expect them."""

from pathlib import Path
from urllib.parse import urlparse


def absolute(path: str) -> str:
    """Return a local path in full, as Delta's SQL needs it; URIs stay as they are."""
    return path.rstrip("/") if urlparse(path).scheme else str(Path(path).absolute())


def quote(identifier: str) -> str:
    """Quote an identifier for SQL."""
    return "`" + identifier.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Quote a string for SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
