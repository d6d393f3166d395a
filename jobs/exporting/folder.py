"""The folder that an export goes to: refused, claimed, finished; the index is its last file."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyarrow import fs
from pyspark.sql import SparkSession

from jobs.config.errors import ConfigError
from jobs.spark.naming import absolute
from jobs.spark.relative import require_one_meaning
from jobs.training.index import INDEX, UNFINISHED, Index, located, read_index

Source = Mapping[str, Any]  # what is exported, as plain data

_PART = re.compile(r"part-\d{5,}\.parquet")
_CLAIM, _ROWS = "source.json", "rows"  # in the sub-folder of an unfinished export


class Folder:
    """A folder for exported files, on any store that both Spark and pyarrow know."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        require_one_meaning(spark, "DIR", path)
        self.path = absolute(path)
        try:
            self.system, self._inside = located(self.path)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @property
    def rows_path(self) -> str:
        """Where Spark writes, before files are moved to their places."""
        return f"{self.path}/{UNFINISHED}/{_ROWS}"

    def claim(self, source: Source) -> Index | None:
        """Make the folder ready for an export, or return the index if it holds that very export.

        What an earlier attempt at the same export left behind is removed.

        Raises
        ------
        ConfigError
            If anything else is there.
        """
        there = self._names()
        if INDEX in there:
            index = self._index()
            self._refuse_other(index.source, source, "an export")
            self._require_files(index, there)
            self._remove_unfinished()
            return index
        others = sorted(name for name in there if name != UNFINISHED)
        if UNFINISHED in there:
            self._refuse_unfinished(others, source)
        elif others:
            raise self._refusal(f"holds {_few(others)}, which is no export")
        self._clear(others)
        self.system.create_dir(self._at(UNFINISHED))
        self._write(f"{UNFINISHED}/{_CLAIM}", json.dumps(source))
        return None

    def written(self) -> list[str]:
        """Return the Parquet files that Spark has written, relative to the folder.

        Raises
        ------
        ConfigError
            If Spark's store is not the one that this process sees.
        """
        place = fs.FileSelector(
            self._at(f"{UNFINISHED}/{_ROWS}"), recursive=True, allow_not_found=True
        )
        found = [info.path for info in self.system.get_file_info(place)]
        files = sorted(path for path in found if path.endswith(".parquet"))
        if not files:
            raise ConfigError(
                f"DIR={self.path!r}: Spark has written there, but this process sees no file; want "
                "a folder that both see, such as a URI (s3://..., hdfs://...) or a shared mount"
            )
        return [path[len(self._inside) + 1 :] for path in files]

    def place(self, path: str, name: str) -> None:
        """Move a written file to its place."""
        self.system.move(self._at(path), self._at(name))

    def finish(self, index: Index) -> None:
        """Write the index, which makes the export whole."""
        self._write(f"{UNFINISHED}/{INDEX}", index.to_json())
        self.place(f"{UNFINISHED}/{INDEX}", INDEX)
        self._remove_unfinished()

    def open(self, path: str) -> pa.NativeFile:
        """Open a file of the folder to read."""
        return self.system.open_input_file(self._at(path))

    # --- what is there ----------------------------------------------------------------------------

    def _at(self, name: str) -> str:
        return f"{self._inside}/{name}"

    def _names(self) -> set[str]:
        info = self.system.get_file_info(self._inside)
        if info.type == fs.FileType.File:
            raise self._refusal("is a file")
        place = fs.FileSelector(self._inside, allow_not_found=True)
        return {found.base_name for found in self.system.get_file_info(place)}

    def _index(self) -> Index:
        try:
            return read_index(self.path)
        except ValueError as error:
            raise self._refusal(f"holds an index that cannot be read: {error}") from error

    def _refuse_other(self, got: Source, want: Source, what: str) -> None:
        names = [name for name in {**want, **got} if got.get(name) != want.get(name)]
        if names:
            told = "; ".join(f"{n}={got.get(n)!r}, not {want.get(n)!r}" for n in names)
            raise self._refusal(f"holds {what} of something else: {told}")

    def _refuse_unfinished(self, others: list[str], source: Source) -> None:
        """Refuse what is not left behind by an attempt at the same export."""
        strangers = [name for name in others if not _PART.fullmatch(name)]
        if strangers:
            raise self._refusal(f"holds {_few(strangers)} beside an unfinished export")
        try:
            with self.system.open_input_stream(self._at(f"{UNFINISHED}/{_CLAIM}")) as file:
                claimed = json.loads(file.read())
        except (OSError, ValueError) as error:
            if others:
                raise self._refusal("holds an unfinished export of who knows what") from error
            return  # broken off before its first file
        self._refuse_other(claimed, source, "an unfinished export")

    def _require_files(self, index: Index, there: set[str]) -> None:
        lost = [file.path for file in index.files if file.path not in there]
        if lost:
            raise self._refusal(f"holds this export, but has lost {_few(lost)}")

    def _refusal(self, found: str) -> ConfigError:
        return ConfigError(
            f"DIR={self.path!r} {found}; want a folder that is empty, new, or an earlier export of "
            "the same: name another, or remove this one"
        )

    # --- changes ----------------------------------------------------------------------------------

    def _write(self, name: str, text: str) -> None:
        with self.system.open_output_stream(self._at(name)) as file:
            file.write(text.encode())

    def _clear(self, names: list[str]) -> None:
        """Remove the files of an earlier attempt, its claim last."""
        for name in names:
            self.system.delete_file(self._at(name))
        self._remove_unfinished()

    def _remove_unfinished(self) -> None:
        if self.system.get_file_info(self._at(UNFINISHED)).type != fs.FileType.NotFound:
            self.system.delete_dir(self._at(UNFINISHED))


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
