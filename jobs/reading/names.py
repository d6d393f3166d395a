"""What the name of a file tells: its format, and whether Spark passes over it."""

import re
from pathlib import PurePosixPath

ENDINGS = {
    "parquet": (".parquet", ".parq", ".pq"),
    "arrow": (".arrow", ".feather"),
    "numpy": (".npy", ".npz"),
    "webdataset": (".tar",),
    "binaryFile": (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    "json": (".json", ".jsonl", ".ndjson"),
    "csv": (".csv", ".tsv"),
    "text": (".txt", ".md"),
}
_FORMAT_OF = {ending: kind for kind, endings in ENDINGS.items() for ending in endings}
COMPRESSED = re.compile(r"\.(gz|zst|bz2)$")
_HIDDEN = re.compile(r"_(?!.*=)|\.|.*\._COPYING_$")


def format_of(name: str) -> str | None:
    """Return the format that a file's name ends in."""
    return _FORMAT_OF.get(PurePosixPath(COMPRESSED.sub("", name)).suffix.lower())


def is_hidden(name: str) -> bool:
    """Return whether Spark passes over a file or folder of this name."""
    return _HIDDEN.match(name) is not None
