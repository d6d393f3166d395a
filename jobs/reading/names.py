"""What the name of a file tells: its format, and whether Spark passes over it."""

import re
from posixpath import splitext

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
UNPACKED = ("json", "csv", "text")  # formats whose files Spark decompresses
_PACKED = re.compile(r"(?i)\.(gz|zst|bz2)$")
_HIDDEN = re.compile(r"_(?!.*=)|\.|.*\._COPYING_$")


def format_of(name: str) -> str | None:
    """Return the format that a file's name ends in."""
    _, ending = splitext(_PACKED.sub("", name))
    return _FORMAT_OF.get(ending.lower())


def why_not_unpacked(name: str) -> str | None:
    """Return why a file would be read as it is packed, and what to do; None if it would not be."""
    if COMPRESSED.search(name) or not _PACKED.search(name):
        return None
    return "Spark unpacks files whose names end in .gz, .bz2 or .zst, in small letters; rename it"


def is_hidden(name: str) -> bool:
    """Return whether Spark passes over a file or folder of this name."""
    return _HIDDEN.match(name) is not None
