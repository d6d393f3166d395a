"""Paths, names and text, as Delta and SQL expect them."""

import os
import re
from pathlib import Path
from urllib.parse import urlparse

_STORE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?")  # scheme and address of a URI


def absolute(path: str) -> str:
    """Return a local path in full, as Delta's SQL needs it; URIs stay as they are."""
    return path.rstrip("/") if urlparse(path).scheme else str(Path(path).absolute())


def without_parents(path: str) -> str:
    """Return a local path without its parent steps (..), as the file system takes them.

    Above a link is the folder that holds its target. Hadoop takes parent steps away as text, so
    Spark would go to another folder than this process, if both got the path as it is written.
    """
    inside = path_of(path)
    if ".." not in inside.split("/") or not is_local(path):
        return path
    store, found = path.removesuffix(inside), ""
    if store and not inside.startswith("/"):
        return path  # no path at all, as Spark will say
    for step in (inside if store else absolute(inside)).split("/"):
        if step == "..":
            found = os.path.dirname(os.path.realpath(found) if os.path.islink(found) else found)
            found = found.rstrip("/")
        elif step not in ("", "."):
            found = f"{found}/{step}"
    return store + (found or "/")


def is_full(path: str) -> bool:
    """Return whether it is a full path or a URI: neither a relative path nor a table's name."""
    return bool(urlparse(path).scheme) or Path(path).is_absolute()


def is_local(path: str) -> bool:
    """Return whether a path or URI is on this machine's file system."""
    return _STORE.match(path) is None or path.startswith("file:")


def path_of(uri: str) -> str:
    """Return the path inside its store; like Hadoop's, it is taken as written, %20 and # too."""
    found = _STORE.match(uri)
    return uri[found.end() :] if found else uri


def quote(identifier: str) -> str:
    """Quote an identifier for SQL."""
    return "`" + identifier.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Quote a string for SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
