"""The folder that an export goes to: refused, claimed, finished; the index is its last file."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa
from pyarrow import fs
from pyspark.sql import SparkSession

from jobs.config.errors import ConfigError, CurationError, InputError
from jobs.spark.naming import absolute, without_parents
from jobs.spark.relative import require_one_meaning
from jobs.training.index import INDEX, UNFINISHED, as_uri, located

Source = Mapping[str, Any]  # what is exported, as plain data

HERE = "."  # the name of a table in the folder itself
BATCH_FILES = r"part-\d{5,}\.parquet"
# in the sub-folder of an unfinished export
_CLAIM, _CLAIMANT, _ROWS = "source.json", "claimant", "rows"


class AnyFile(Protocol):
    """A file of an index, or a folder of files."""

    @property
    def path(self) -> str:
        """Where it is, relative to the folder."""


class AnyIndex(Protocol):
    """The content of an export's last file."""

    @property
    def source(self) -> Source:
        """What was exported."""

    @property
    def files(self) -> Sequence[AnyFile]:
        """Its files."""

    def to_json(self) -> str:
        """Return it as text."""

    @classmethod
    def from_json(cls: "type[IndexT]", text: str, where: str) -> "IndexT":
        """Read the text; raise ValueError if it is not an index."""


IndexT = TypeVar("IndexT", bound=AnyIndex)


class Folder(Generic[IndexT]):
    """A folder for exported files, on any store that both Spark and pyarrow know.

    Parameters
    ----------
    kind : class of the index
    own : regular expression of the names that an export of this kind puts there
    """

    def __init__(
        self, spark: SparkSession, path: str, kind: type[IndexT], own: str = BATCH_FILES
    ) -> None:
        require_one_meaning(spark, "DIR", path)
        self._mark = uuid.uuid4().hex  # of its claim
        self.path, self._kind, self._own = absolute(without_parents(path)), kind, re.compile(own)
        try:
            self.system, self.inside = located(self.path)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def table_path(self, name: str) -> str:
        """Return the path or URI of the folder itself, or of one in it."""
        return self.path if name == HERE else f"{self.path}/{name}"

    def native_path(self, name: str) -> str:
        """Return the same in the form that libraries without Hadoop understand."""
        is_local = isinstance(self.system, fs.LocalFileSystem)
        return self._at(name) if is_local else as_uri(self.table_path(name))

    @property
    def rows_path(self) -> str:
        """Where Spark writes, before files are moved to their places."""
        return f"{self.path}/{UNFINISHED}/{_ROWS}"

    @contextmanager
    def claimed(self, source: Source) -> Iterator[IndexT | None]:
        """Claim the folder as ``claim`` does; an export that is refused then leaves none behind.

        What it has written is of no use to a corrected one, which is another export.
        """
        is_new = self.system.get_file_info(self.inside).type == fs.FileType.NotFound
        index = self.claim(source)
        try:
            yield index
        except (ConfigError, InputError):
            with suppress(OSError):  # the refusal is what is to be told
                self._release(is_new)
            raise

    def claim(self, source: Source) -> IndexT | None:
        """Make the folder ready for an export, or return the index if it holds that very export.

        What an earlier attempt at the same export left behind is removed.

        Raises
        ------
        ConfigError
            If anything else is there.
        """
        there = self._names()
        if INDEX in there:
            index = self._index(source)
            self._require_files(index)
            self._remove_unfinished()
            return index
        others = sorted(name for name in there if name != UNFINISHED)
        if UNFINISHED in there:
            self._refuse_unfinished(others, source)
        elif others:
            raise self._refusal(f"holds {_few(others)}, which is no export")
        self._clear(others)
        self.system.create_dir(self._at(UNFINISHED))
        self.write_text(f"{UNFINISHED}/{_CLAIM}", json.dumps(source))
        self.write_text(f"{UNFINISHED}/{_CLAIMANT}", self._mark)
        return None

    def make_rows(self) -> str:
        """Make the folder of ``rows_path``; return its path in the file system."""
        self.system.create_dir(path := self._at(f"{UNFINISHED}/{_ROWS}"))
        return path

    def written(self, suffix: str) -> list[str]:
        """Return the files that Spark has written, relative to the folder.

        Raises
        ------
        ConfigError
            If Spark's store is not the one that this process sees.
        """
        place = fs.FileSelector(
            self._at(f"{UNFINISHED}/{_ROWS}"), recursive=True, allow_not_found=True
        )
        found = [info.path for info in self.system.get_file_info(place)]
        files = sorted(path for path in found if path.endswith(suffix))
        if not files:
            raise self.unseen()
        return [path[len(self.inside) + 1 :] for path in files]

    def require(self, names: Sequence[str]) -> None:
        """Make sure that this process sees files that workers have written.

        Raises
        ------
        ConfigError
        """
        found = self.system.get_file_info([self._at(name.removeprefix("./")) for name in names])
        if any(info.type != fs.FileType.File for info in found):
            raise self.unseen()

    def place(self, path: str, name: str) -> None:
        """Move a written file to its place."""
        self.system.move(self._at(path), self._at(name))

    def make(self, name: str) -> None:
        """Make a sub-folder."""
        self.system.create_dir(self._at(name))

    def finish(self, index: IndexT) -> None:
        """Write the index, which makes the export whole."""
        self.write_text(f"{UNFINISHED}/{INDEX}", index.to_json())
        self.place(f"{UNFINISHED}/{INDEX}", INDEX)
        self._remove_unfinished()

    def open(self, path: str) -> pa.NativeFile:
        """Open a file of the folder to read."""
        return self.system.open_input_file(self._at(path))

    # --- what is there ----------------------------------------------------------------------------

    def _at(self, name: str) -> str:
        return self.inside if name == HERE else f"{self.inside}/{name}"

    def _names(self) -> set[str]:
        info = self.system.get_file_info(self.inside)
        if info.type == fs.FileType.File:
            raise self._refusal("is a file")
        place = fs.FileSelector(self.inside, allow_not_found=True)
        return {found.base_name for found in self.system.get_file_info(place)}

    def _index(self, source: Source) -> IndexT:
        """Read the index, if its source is the one that is wanted."""
        try:
            with self.system.open_input_stream(self._at(INDEX)) as file:
                text = file.read().decode()
            self._refuse_other(dict(json.loads(text)["source"]), source, "an export")
            return self._kind.from_json(text, self.path)
        except (ValueError, KeyError, TypeError) as error:
            raise self._refusal(f"holds an index that cannot be read: {error}") from error

    def _refuse_other(self, got: Source, want: Source, what: str) -> None:
        names = [name for name in {**want, **got} if got.get(name) != want.get(name)]
        if names:
            told = "; ".join(f"{n}={got.get(n)!r}, not {want.get(n)!r}" for n in names)
            raise self._refusal(f"holds {what} of something else: {told}")

    def _refuse_unfinished(self, others: list[str], source: Source) -> None:
        """Refuse what is not left behind by an attempt at the same export."""
        try:
            with self.system.open_input_stream(self._at(f"{UNFINISHED}/{_CLAIM}")) as file:
                self._refuse_other(json.loads(file.read()), source, "an unfinished export")
        except (OSError, ValueError) as error:
            if others:
                raise self._refusal("holds an unfinished export of who knows what") from error
            return  # interrupted before its first file
        strangers = [name for name in others if not self._own.fullmatch(name)]
        if strangers:
            raise self._refusal(f"holds {_few(strangers)} beside an unfinished export")

    def _require_files(self, index: IndexT) -> None:
        names = [file.path for file in index.files]
        found = self.system.get_file_info([self._at(name) for name in names])
        lost = [n for n, i in zip(names, found, strict=True) if i.type == fs.FileType.NotFound]
        if lost:
            raise self._refusal(f"holds this export, but has lost {_few(lost)}")

    # --- what is wrong ----------------------------------------------------------------------------

    def elsewhere(self) -> ConfigError:
        """Return the error for a table in Spark's store that this process does not see."""
        return ConfigError(
            f"DIR={self.path!r}: Spark sees a table there, and this process sees none; want a "
            "folder that both see, such as a URI (s3://..., hdfs://...) or a shared mount"
        )

    def unseen(self) -> ConfigError:
        """Return the error for files that were written elsewhere."""
        return ConfigError(
            f"DIR={self.path!r}: Spark has written there, but this process sees no file; want "
            "a folder that both see, such as a URI (s3://..., hdfs://...) or a shared mount"
        )

    def disturbed(self, found: str) -> CurationError:
        """Return the error for files that only another process can have written."""
        return CurationError(
            f"Spark wrote {found}; is another export to this folder under way? Run this one again"
        )

    def _refusal(self, found: str) -> ConfigError:
        return ConfigError(
            f"DIR={self.path!r} {found}; want a folder that is empty, new, or an earlier export of "
            "the same: name another, or remove this one"
        )

    # --- changes ----------------------------------------------------------------------------------

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the folder."""
        with self.system.open_output_stream(self._at(name)) as file:
            file.write(text.encode())

    def _clear(self, names: list[str]) -> None:
        """Remove the files of an earlier attempt, its claim last."""
        for info in self.system.get_file_info([self._at(name) for name in names]):
            is_folder = info.type == fs.FileType.Directory
            (self.system.delete_dir if is_folder else self.system.delete_file)(info.path)
        self._remove_unfinished()

    def _release(self, is_new: bool) -> None:
        """Remove what an export put there, and the folder if it was made for it.

        Nothing is removed once another process has claimed the folder, or has finished there.
        """
        with self.system.open_input_stream(self._at(f"{UNFINISHED}/{_CLAIMANT}")) as file:
            is_mine = file.read().decode() == self._mark
        if INDEX in self._names() or not is_mine:
            return
        self._clear(sorted(filter(self._own.fullmatch, self._names())))
        if is_new and not self._names():
            self.system.delete_dir(self.inside)

    def _remove_unfinished(self) -> None:
        if self.system.get_file_info(self._at(UNFINISHED)).type != fs.FileType.NotFound:
            self.system.delete_dir(self._at(UNFINISHED))


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
