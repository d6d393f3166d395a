"""The formats that a sample can be exported in: files by Spark or by workers, or one table."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.catalog.tables import is_delta
from jobs.config.errors import ConfigError
from jobs.exporting.bands import Part
from jobs.exporting.folder import Folder
from jobs.exporting.mds import INDEX_FILE, encodings_of, indexes_of, require_values
from jobs.exporting.sample_index import SampleIndex, Shard
from jobs.exporting.slots import SLOT, in_order, require_rows, write_slots
from jobs.reading.files import escaped
from jobs.spark.observing import observed
from udfs.points import OnBatches
from udfs.shards.fragments import make_fragment
from udfs.shards.mds import make_mds
from udfs.shards.numbered import SHARDS_SCHEMA, make_write
from udfs.shards.tars import Members, make_tar

_ODD_NAME = re.compile(r"[ ,;{}()\n\t=]")  # characters that Delta does not allow in names


class Rows(NamedTuple):
    """The rows to write.

    Attributes
    ----------
    frame : what is written, and _evenlake_file; each file's rows in one task
    order : order of the rows in a file
    parts : the splits, or the whole
    endings : endings of the columns that become files of their own in a tar
    """

    frame: DataFrame
    order: Sequence[Column | str]
    parts: Sequence[Part]
    endings: Mapping[str, str | None]

    @property
    def n_rows(self) -> int:
        """The rows of all splits."""
        return sum(part.n_rows for part in self.parts)

    @property
    def n_files(self) -> int:
        """The files of all splits."""
        return sum(part.n_files for part in self.parts)


SampleFolder = Folder[SampleIndex]


@dataclass(frozen=True)
class Format:
    """A form of exported rows.

    Attributes
    ----------
    own : regular expression of the names that it puts into a folder
    write : everything, to its place
    module, package : module required on the driver and the workers, and how pip gets it
    most_mb : MB of a file; its size is an estimate
    """

    own: str
    write: Callable[[SampleFolder, Rows], list[Shard]]
    module: str | None = None
    package: str | None = None
    most_mb: float = math.inf

    def require(self, name: str) -> None:
        """Refuse a format whose library is not installed.

        Raises
        ------
        ConfigError
        """
        if self.module is not None and find_spec(self.module) is None:
            raise ConfigError(
                f"--format {name}: the package {self.module} is not installed; pip install "
                f"'{self.package}' on the driver and the workers"
            )


# --- numbered files -------------------------------------------------------------------------------


def _by_spark(
    folder: SampleFolder, rows: Rows, *, kind: str, options: Mapping[str, str], ending: str
) -> list[Shard]:
    """Have Spark write numbered files."""
    frame, count = observed(rows.frame, F.count("*").alias("n"))
    its_ending = ending.replace("jsonl", "json")
    by_slot = write_slots(folder, in_order(frame, *rows.order), kind, options, its_ending)
    told = count()  # None: the session was too busy to say
    n = (
        rows.frame.sparkSession.read.format(kind).load(escaped(folder.rows_path)).count()
        if told is None
        else told["n"]
    )
    require_rows(folder, n, rows.n_rows)
    return _placed(folder, rows, by_slot, ending)


def _tars(folder: SampleFolder, rows: Rows) -> list[Shard]:
    """Have workers write tar files."""
    inside = folder.make_rows()
    write = make_tar(folder.system, inside, Members("position", dict(rows.endings)))
    return _placed_by_name(folder, rows, _written(folder, rows, make_write(write, SLOT)), ".tar")


def _mds(folder: SampleFolder, rows: Rows) -> list[Shard]:
    """Have workers write MDS shards, and write the index of each split."""
    encodings = encodings_of(rows.frame.drop(SLOT).schema)
    write = make_mds(folder.system, folder.make_rows(), encodings)
    written = _written(folder, rows, make_write(write, SLOT))
    told = {slot: json.loads(text) for slot, text in written.items()}
    require_values(told)
    names = {slot: shard["name"] for slot, shard in told.items()}
    files = _placed_by_name(folder, rows, names, ".mds")
    entries = [told[slot]["entry"] for slot in sorted(told)]
    for split, text in indexes_of(files, entries).items():
        folder.write_text(INDEX_FILE if split is None else f"{split}/{INDEX_FILE}", text)
    return files


def _placed_by_name(
    folder: SampleFolder, rows: Rows, names: Mapping[int, str], ending: str
) -> list[Shard]:
    """Move the files that workers wrote to their places, by the names that they report."""
    by_name = {path.rpartition("/")[2]: path for path in folder.written(ending)}
    if not set(names.values()) <= set(by_name):
        raise folder.unseen()
    return _placed(folder, rows, {slot: by_name[name] for slot, name in names.items()}, ending)


def _written(folder: SampleFolder, rows: Rows, write: OnBatches) -> dict[int, str]:
    """Have workers write all shards; return what they report of each."""
    found = in_order(rows.frame, *rows.order).mapInArrow(write, SHARDS_SCHEMA).collect()
    require_rows(folder, sum(row.n_rows for row in found), rows.n_rows)
    return {row.shard: row.written for row in found}


def _placed(
    folder: SampleFolder, rows: Rows, by_slot: Mapping[int, str], ending: str
) -> list[Shard]:
    """Move the written files to their places."""
    if sorted(by_slot) != [*range(rows.n_files)]:
        raise folder.disturbed(f"{len(by_slot)} files, want {rows.n_files}")
    shards = []
    for part in rows.parts:
        if part.name is not None:
            folder.make(part.name)
        for i, n_rows in enumerate(part.rows_of_files):
            folder.place(by_slot[part.first + i], path := part.path(i, ending))
            shards.append(Shard(path, part.name, n_rows))
    return shards


# --- tables ---------------------------------------------------------------------------------------


def _delta(folder: SampleFolder, rows: Rows) -> list[Shard]:
    """Have Spark write a Delta table for each split, a file for each band."""
    spark = rows.frame.sparkSession
    for part in rows.parts:
        is_mine = F.col(SLOT).between(part.first, part.first + part.n_files - 1)
        mine = in_order(rows.frame.where(is_mine), *rows.order).drop(SLOT)
        path = folder.table_path(part.folder)
        if is_delta(spark, path):  # this process has cleared the folder, and sees none
            raise folder.elsewhere()
        options = {"maxRecordsPerFile": str(max(part.rows_of_files))}
        if any(map(_ODD_NAME.search, mine.columns)):
            options["delta.columnMapping.mode"] = "name"
        mine.write.format("delta").mode("overwrite").options(**options).save(path)
        require_rows(folder, spark.read.format("delta").load(path).count(), part.n_rows)
    return _tables(rows)


def _lance(folder: SampleFolder, rows: Rows) -> list[Shard]:
    """Have workers write fragments, and commit a Lance dataset of them for each split."""
    import lance
    from pyspark.sql.pandas.types import to_arrow_schema

    paths = [folder.native_path(part.folder) for part in rows.parts]
    firsts = [part.first for part in rows.parts]
    told = _written(folder, rows, make_write(make_fragment(firsts, paths), SLOT))
    schema = to_arrow_schema(rows.frame.drop(SLOT).schema)
    for part, path in zip(rows.parts, paths, strict=True):
        fragments = [
            lance.FragmentMetadata.from_json(told[part.first + i]) for i in range(part.n_files)
        ]
        files = [file.path for fragment in fragments for file in fragment.files]
        folder.require([f"{part.folder}/data/{name}" for name in files])
        lance.LanceDataset.commit(path, lance.LanceOperation.Overwrite(schema, fragments))
    return _tables(rows)


def _tables(rows: Rows) -> list[Shard]:
    return [Shard(part.folder, part.name, part.n_rows) for part in rows.parts]


def _files(kind: str, ending: str, **options: str) -> Format:
    write = partial(
        _by_spark, kind=kind, options={"maxRecordsPerFile": "0"} | options, ending=ending
    )
    return Format(rf"part-\d{{5,}}{ending}".replace(".", r"\."), write)


_JSON: dict[str, Any] = {"ignoreNullFields": "false"}
FORMATS: dict[str, Format] = {
    "parquet": _files("parquet", ".parquet", compression="snappy"),
    "jsonl": _files("json", ".jsonl", **_JSON),
    "jsonl.gz": _files("json", ".jsonl.gz", compression="gzip", **_JSON),
    "webdataset": Format(r"part-\d{5,}\.tar", _tars),
    # for odd names, Delta puts files into folders with names of two letters
    "delta": Format(r"_delta_log|[A-Za-z0-9]{2}|\.?part-.*\.parquet(\.crc)?", _delta),
    "lance": Format(
        r"data|_(transactions|versions|indices|deletions)", _lance, "lance", "evenlake[lance]"
    ),
    # offsets in a shard are unsigned numbers of 32 bits
    "mds": Format(
        r"part-\d{5,}\.mds|index\.json", _mds, "streaming", "mosaicml-streaming", most_mb=1024
    ),
}
