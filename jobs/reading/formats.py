"""Which format the files of a pool are in, and which of them are read."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

from jobs.config.errors import InputError
from jobs.reading.files import Files, few
from jobs.reading.names import COMPRESSED, ENDINGS, UNPACKED, format_of, why_not_unpacked

# beside the kinds before it, a kind describes data: README.md, dataset_info.json, labels.csv
_BEFORE = [("parquet", "arrow", "numpy", "webdataset", "binaryFile"), ("json", "csv"), ("text",)]


class Chosen(NamedTuple):
    """A format, and the files that are read as such."""

    kind: str
    files: Files


def choose_format(files: Files, declared: str | None) -> Chosen:
    """Choose the files that hold the data, and their format.

    Parameters
    ----------
    declared : the format that the config names: files of other known kinds are passed over

    Raises
    ------
    InputError
        If it cannot be told.
    """
    by_kind: dict[str | None, list[int]] = defaultdict(list)
    for i, name in enumerate(files.names):
        by_kind[format_of(name)].append(i)
    every = range(len(files.found))
    kind = declared or _data_kind(files, by_kind)
    if declared is None:
        wanted = {*by_kind[kind]}
    elif declared in ("binaryFile", "text"):  # any file is bytes, and most are text
        wanted = {*every}
    else:
        wanted = {*by_kind[declared], *by_kind[None]} if by_kind[declared] else {*every}
    others = [name for i, name in enumerate(files.names) if i not in wanted]
    found = [file for i, file in enumerate(files.found) if i in wanted]
    for name in (files.names[i] for i in sorted(wanted)):
        if kind in UNPACKED and (why := why_not_unpacked(name)):
            raise InputError(f"input.table={files.path!r}: {name}: {why}")
    return Chosen(kind, replace(files, found=found, others=others, declared=declared))


def glob_of(files: Files) -> str | None:
    """Return a pattern for the names of the files that are read, or None if their paths must do."""
    endings = sorted({_ending(name) for name in files.names})
    if not all(re.fullmatch(r"[.\w]+", ending) for ending in endings):
        return None
    return "{" + ",".join(f"*{ending}" for ending in endings) + "}"


def _ending(name: str) -> str:
    packed = COMPRESSED.search(name)
    before = name[: packed.start()] if packed else name
    return PurePosixPath(before).suffix + (packed[0] if packed else "")


def _data_kind(files: Files, by_kind: Mapping[str | None, list[int]]) -> str:
    for kinds in _BEFORE:
        there = [kind for kind in kinds if by_kind.get(kind)]
        if len(there) == 1:
            _refuse_larger(files, by_kind, there[0])
            return there[0]
        if there:
            break
    endings = sorted({PurePosixPath(name).suffix.lower() for name in files.names})
    raise InputError(
        f"input.table={files.path!r} holds files ending in {endings}, such as "
        f"{few(files.names)}; set input.format to {', '.join(ENDINGS)} or delta, or name the "
        "folder of one kind"
    )


def _refuse_larger(files: Files, by_kind: Mapping[str | None, list[int]], kind: str) -> None:
    """Refuse a kind that holds less than another: it may not be the data."""
    size = {
        name or "no known kind": sum(files.found[i].length for i in rows)
        for name, rows in by_kind.items()
    }
    largest = max(size, key=lambda name: size[name])
    if size[largest] > size[kind]:
        raise InputError(
            f"input.table={files.path!r} holds files of {kind} ({size[kind]:,} bytes) and of "
            f"{largest} ({size[largest]:,} bytes); set input.format to the one that holds the data"
        )
