"""Local files by their path or by a file: URI, whoever wrote it."""

import os
from urllib.parse import unquote


def local_path(place: str) -> str:
    """Return the path of a local file.

    Spark writes paths into file: URIs as they are, %20 and # too; others encode them. What is there
    as written wins.
    """
    if not place.startswith("file:"):
        return place
    written = place.removeprefix("file:")
    if written.startswith("//"):  # a host, mostly none
        written = written[max(2, written.find("/", 2)) :]
    return written if os.path.exists(written) else unquote(written)
