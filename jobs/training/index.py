"""The index of an exported folder: which file holds which batches. Written last, read first."""

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pyarrow import fs

INDEX = "_index.json"
UNFINISHED = ".unfinished"  # sub-folder of an export that is under way or was interrupted
FORMAT = 1  # raised if an older reader would misread the index
BATCH, POSITION = "batch_id", "position"
_STORE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<address>//[^/?]*)?(?=[/?]|$)"
)  # of a URI
_HADOOPS = {"s3a": "s3", "s3n": "s3"}  # Hadoop's names of stores -> everyone else's


@dataclass(frozen=True)
class File:
    """One Parquet file: its whole batches, first to last, without a gap."""

    path: str  # relative to the folder
    first_batch: int
    last_batch: int
    n_rows: int


@dataclass(frozen=True)
class Index:
    """What a folder holds.

    Attributes
    ----------
    columns : columns of the files, in order
    files : in the order of their batches, which are numbered from 0 across all files
    rounds : round, first_batch, n_batches and n_rows of each round of the selection
    source : what was exported: table, stage keys, options; equal for exports of the same thing
    """

    n_batches: int
    n_rows: int
    columns: Sequence[str]
    files: Sequence[File]
    rounds: Sequence[Mapping[str, int]]
    source: Mapping[str, Any]

    def to_json(self) -> str:
        """Return it as the text of ``_index.json``."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "Index":
        """Read the text of ``_index.json``.

        Parameters
        ----------
        where : the folder, for messages

        Raises
        ------
        ValueError
            If it is not an index, or is one of a later version.
        """
        try:
            told = json.loads(text)
            version = told.pop("format")
            if version == FORMAT:
                told["files"] = [File(**file) for file in told["files"]]
                return cls(**told)._checked(where)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{where}/{INDEX} is no index of exported batches ({error}); want one that "
                "evenlake export wrote: export again, to another folder"
            ) from error
        raise ValueError(
            f"{where}/{INDEX} is of format {version!r}, this version reads {FORMAT}; install the "
            "evenlake that wrote it, or export again"
        )

    def _checked(self, where: str) -> "Index":
        """Return it, if its files hold all batches, each once."""
        following = 0
        for file in self.files:
            if file.first_batch != following or file.last_batch < following:
                raise ValueError(f"{file.path}: batch {file.first_batch} first, want {following}")
            following = file.last_batch + 1
        if following != self.n_batches:
            raise ValueError(f"{following} batches in the files, n_batches={self.n_batches}")
        return self


def as_uri(place: str) -> str:
    """Return a path, or a URI of Hadoop's as all others read it.

    Hadoop takes a path as it is written, %20 and # too; others decode it. What follows a question
    mark are options of a store, which are theirs alone.
    """
    if (found := _STORE.match(place)) is None:
        return place
    path, mark, options = place[found.end() :], "", ""
    if found["scheme"] != "file":
        path, mark, options = path.partition("?")
    scheme = _HADOOPS.get(found["scheme"], found["scheme"])
    return f"{scheme}:{found['address'] or ''}{quote(path)}{mark}{options}"


def located(folder: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path in it.

    A store has no links: parent steps (..) are taken away as text, as Hadoop does.

    Raises
    ------
    ValueError
        If pyarrow knows no such store.
    """
    if re.match(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:/(?!/)", folder):
        raise ValueError(
            f"{folder!r} has one slash; want a path, or a URI such as s3://bucket/path"
        )
    if "://" not in folder:
        return fs.LocalFileSystem(), str(Path(folder.removeprefix("file:")).absolute())
    try:
        system, path = fs.FileSystem.from_uri(as_uri(folder.rstrip("/")))
    except (ValueError, OSError, NotImplementedError) as error:
        raise ValueError(
            f"{folder!r} cannot be opened by pyarrow: {error}; want a path, or a URI of a store "
            "that pyarrow.fs knows, such as s3://, gs://, hdfs:// or abfss://"
        ) from error
    if ".." in path.split("/") and not isinstance(system, fs.LocalFileSystem):
        path = posixpath.normpath(path)
    return system, path


def read_index(folder: str) -> Index:
    """Return the index of an exported folder.

    Raises
    ------
    ValueError
        If the folder holds no finished export.
    """
    system, path = located(folder)
    there = {info.base_name for info in system.get_file_info(_all_in(path))}
    if INDEX not in there:
        raise ValueError(f"{folder}: {_why_not(there)}")
    with system.open_input_stream(f"{path}/{INDEX}") as file:
        return Index.from_json(file.read().decode(), folder)


def _all_in(path: str) -> fs.FileSelector:
    return fs.FileSelector(path, allow_not_found=True)


def _why_not(there: set[str]) -> str:
    if UNFINISHED in there:
        return f"an export that is not finished ({UNFINISHED} is there); run evenlake export again"
    if there:
        return f"no {INDEX}; want a folder that evenlake export wrote, got {sorted(there)[:5]}"
    return "nothing is there; want a folder that evenlake export wrote"
