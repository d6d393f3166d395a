"""Look at a pool on this machine, without Spark: its form, its first rows, its size."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from jobs.config.errors import ConfigError
from jobs.reading.names import COMPRESSED, ENDINGS, UNPACKED, format_of, is_hidden, why_not_unpacked
from jobs.starting import tables
from jobs.starting.found import Found
from udfs.readers import numpy_files, tar_files
from udfs.readers.sources import Source, UnreadableError

# The most telling first: a README.md beside Parquet files is not a pool of texts.
_TELLING = ("parquet", "arrow", "webdataset", "binaryFile", "json", "csv", "numpy", "text")
_MOST_FILES = 100_000  # listed to find out what a folder holds


def look(table: str) -> Found:
    """Find out what is at a place; a table's name or a remote path is taken as it is.

    Raises
    ------
    ConfigError
        If there is no such path, or nothing there that Evenlake reads.
    """
    path = Path(table).expanduser()
    if not path.exists():
        return _elsewhere(table)
    try:
        return _look(table, path)
    except UnreadableError as error:  # its own errors say what is wanted
        raise ConfigError(f"{table!r} cannot be read: {error}") from error
    except (OSError, ValueError, KeyError, csv.Error) as error:  # Arrow's are ValueErrors
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{table!r} cannot be read: {said}; want a file that is whole") from error


def _elsewhere(table: str) -> Found:
    """Take a name for a remote path or a table's, unless it looks like a local file's."""
    is_remote = re.match(r"[a-z][a-z0-9+.-]+:/", table) is not None
    if is_remote or ("/" not in table and format_of(table) is None):
        kind = "a remote path" if is_remote else "nothing of that name here, so a table's name"
        return Found(table, f"{kind}; its columns are for you to fill in")
    raise ConfigError(
        f"{table!r}: no such file or folder; want a pool's path, or none for a starter"
    )


def _look(table: str, path: Path) -> Found:
    if (path / "_delta_log").is_dir():
        return tables.delta(table, path)
    files = list(islice(_files(path), _MOST_FILES))
    forms = {format_of(file.name) for file in files}
    form = next((form for form in _TELLING if form in forms), None)
    if form is None:
        raise ConfigError(
            f"{table!r} holds {_endings(files)}; want Parquet, Delta, JSON lines, CSV, Arrow, "
            ".npy, .npz, tars, or a folder of images or .txt files"
        )
    files = [file for file in files if format_of(file.name) == form]
    packed = next(
        (file for file in files if form in UNPACKED and why_not_unpacked(file.name)), None
    )
    if packed is not None:
        raise ConfigError(f"{packed}: {why_not_unpacked(packed.name)}")
    partitions = _partitions(files[0].relative_to(path))
    if form == "binaryFile":
        return _images(table, path, files, partitions)
    if form == "text":
        columns = {"id": "id", "content": "value"}
        return Found(table, "a folder of texts", len(files), columns=columns, model="lsa")
    if form == "numpy":
        return _matrix(table, files)
    if form == "webdataset":
        return _shards(table, files)
    read = {
        "parquet": tables.parquet,
        "arrow": tables.arrow,
        "json": tables.json_lines,
        "csv": tables.csv_lines,
    }[form]
    return read(table, files, partitions)


def _files(path: Path) -> Iterator[Path]:
    """Yield the files at a path, subfolders included, as Spark does: not those of _x and .x."""
    if path.is_file():
        yield path
        return
    for folder, subfolders, names in os.walk(path, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not is_hidden(name))
        files = (Path(folder) / name for name in sorted(names) if not is_hidden(name))
        yield from (file for file in files if file.is_file() and file.stat().st_size)


def _endings(files: Sequence[Path]) -> str:
    endings = (Path(COMPRESSED.sub("", file.name.lower())).suffix for file in files)
    common = [ending or "none" for ending, _ in Counter(endings).most_common(5)]
    return f"files ending in {', '.join(common)}" if common else "no files"


def _partitions(below: Path) -> list[str]:
    return [part.partition("=")[0] for part in below.parts[:-1] if "=" in part]


def _images(table: str, path: Path, files: Sequence[Path], partitions: Sequence[str]) -> Found:
    """Describe a folder of images; folders that hold several images each are their labels."""
    folders = {file.parent.relative_to(path) for file in files}
    has_labels = not partitions and 2 <= len(folders) <= len(files) / 2 and Path() not in folders
    labels = list(partitions) or (["label"] if has_labels else [])
    what = "a folder of images" + (f" in {len(folders)} labelled subfolders" if has_labels else "")
    columns = {"id": "id", "content": "content", "metadata": labels}
    is_exact = len(files) < _MOST_FILES
    return Found(table, what, len(files), is_exact, columns=columns, model="pixels")


def _are_ids(parts: Sequence[Any]) -> bool:
    """Return whether an array of every file holds whole numbers or texts, none of them twice."""
    if any(part is None or part.dtype.kind not in "iuUS" for part in parts):
        return False
    values = [value for part in parts for value in part.tolist()]
    return len({*values}) == len(values)


def _matrix(table: str, files: Sequence[Path]) -> Found:
    """Describe arrays: one of vectors : (n_rows, n_features), and columns of n_rows beside it."""
    found = [numpy_files.arrays_of(Source(str(file)), named=None) for file in files]
    first = found[0].columns
    vectors = [name for name, array in first.items() if array.ndim == 2]
    if not vectors:
        shapes = " and ".join(str(array.shape) for array in first.values())
        raise ConfigError(f"{table!r} has the shape {shapes}; want (rows, features)")
    matrix = first[vectors[0]]
    plain = {name: array for name, array in first.items() if array.ndim == 1}
    distinct = [name for name in plain if _are_ids([each.columns.get(name) for each in found])]
    columns: dict[str, Any] = {"id": distinct[0] if distinct else "id", "embedding": vectors[0]}
    if kept := [name for name in plain if name not in distinct]:
        columns["metadata"] = kept
    n_rows = sum(len(next(iter(each.columns.values()))) for each in found)
    what = f"vectors of {matrix.shape[1]} features"
    if found[0].passed_over:
        what += f" (passed over: {found[0].passed_over})"
    return Found(table, what, n_rows, columns=columns, model="precomputed")


def _shards(table: str, files: Sequence[Path]) -> Found:
    """Describe webdataset shards by the members of the first."""
    schema, n_rows = tar_files.schema_of(Source(str(files[0])))
    endings = set(schema.names)
    images = [ending for ending in endings if f".{ending}" in ENDINGS["binaryFile"]]
    texts = [ending for ending in ("txt", "text", "caption") if ending in endings]
    content = sorted(images) + texts
    if not content:
        raise ConfigError(f"{table!r} holds {sorted(endings)}; want images or texts in its tars")
    columns = {"id": "id", "content": content[0], "metadata": ["cls"] if "cls" in endings else []}
    what = f"webdataset shards ({len(files):,} tars)"
    is_one = len(files) == 1
    model = "pixels" if images else "lsa"
    return Found(table, what, n_rows * len(files), is_one, columns=columns, model=model)
