"""Cut rows written as Parquet: sorted, whole batches to a file, files of bounded size.

Spark writes each file by its number, which is a function of the batch alone, so that the files are
the same on any layout and after any crash. Files do not cross rounds: a round's last batch may be
incomplete, and would shift the row groups after it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.errors import CurationError, InputError
from jobs.exporting.cutting import Round
from jobs.exporting.folder import Folder
from jobs.spark.frames import as_frame, as_table
from jobs.spark.naming import quote
from jobs.spark.settings import changed
from jobs.training.index import BATCH, POSITION, File

# A read costs about as much as decoding this much: smaller batches share a row group.
_GROUP_BYTES = 256 << 10
_MOST_GROUPS = 4096  # in a file, so that footers stay small
_MOST_TASKS = 4096
_LOOKED_AT = 256  # rows, to know how large one is
_SLOT = "_evenlake_file"
_SETTINGS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}  # not INT96


@dataclass(frozen=True)
class Layout:
    """How batches are laid out in files.

    Attributes
    ----------
    per_file : the batches of a file
    group_rows : the rows of a row group: whole batches, where all have the same size
    """

    rounds: Sequence[Round]
    per_file: int
    group_rows: int

    @classmethod
    def of(cls, rounds: Sequence[Round], *, row_bytes: float, file_bytes: float) -> "Layout":
        """Lay batches out in files of at most so many bytes, as Arrow counts them."""
        batch_rows = max(-(-one.n_rows // one.n_batches) for one in rounds)
        batch_bytes = max(1.0, batch_rows * row_bytes)
        per_group = max(1, int(_GROUP_BYTES / batch_bytes))
        per_file = max(1, int(file_bytes / batch_bytes))
        if per_file > per_group:
            per_file = min(per_file // per_group, _MOST_GROUPS) * per_group
        return cls(rounds, per_file, min(per_group, per_file) * batch_rows)

    def n_files(self, one: Round) -> int:
        """Return the files of a round."""
        return -(-one.n_batches // self.per_file)

    @property
    def batches_of_files(self) -> list[tuple[int, int]]:
        """The first and the last batch of every file."""
        found = []
        for one in self.rounds:
            end = one.first_batch + one.n_batches
            starts = range(one.first_batch, end, self.per_file)
            found += [(first, min(first + self.per_file, end) - 1) for first in starts]
        return found


def row_bytes(cut: DataFrame, columns: DataFrame | None, seed: int) -> float:
    """Return the bytes of a row, by a few that a hash chooses."""
    few = cut.orderBy(F.xxhash64("id", F.lit("looked at"), F.lit(seed)), "id").limit(_LOOKED_AT)
    if columns is not None:
        few = F.broadcast(few).join(columns, on="id", how="inner")
    looked = few.drop("round", "batch").toArrow()
    n_bytes: float = looked.nbytes / max(1, looked.num_rows)
    return n_bytes + 8  # the batch's number


def write_files(
    folder: Folder, cut: DataFrame, columns: DataFrame | None, layout: Layout
) -> list[File]:
    """Write cut rows with their columns, and move the files to their places.

    Parameters
    ----------
    cut : round, batch, position, id
    columns : id, and the columns to add

    Raises
    ------
    InputError
        If the columns have no row for some of the ids.
    """
    spark, n_files = cut.sparkSession, len(layout.batches_of_files)
    rows = _in_files(cut, columns, layout, n_tasks=min(n_files, _MOST_TASKS))
    options = {
        "compression": "snappy",
        "maxRecordsPerFile": "0",
        "parquet.block.row.count.limit": str(layout.group_rows),
    }
    with changed(spark, _SETTINGS):
        writer = rows.write.mode("overwrite").options(**options).partitionBy(_SLOT)
        writer.parquet(folder.rows_path)
    return _placed(folder, layout)


def _in_files(
    cut: DataFrame, columns: DataFrame | None, layout: Layout, *, n_tasks: int
) -> DataFrame:
    """Return rows as they are written : batch_id, position, id, the columns, the file's number."""
    first_file, firsts = 0, []
    for one in layout.rounds:
        firsts.append((one.round, one.first_batch, first_file))
        first_file += layout.n_files(one)
    told = as_table(firsts, "round int, first_batch bigint, first_file bigint")
    rows = cut.join(F.broadcast(as_frame(cut.sparkSession, told)), on="round", how="inner").select(
        (F.col("first_batch") + F.col("batch")).alias(BATCH),
        POSITION,
        "id",
        F.expr(f"first_file + batch DIV {layout.per_file}").alias(_SLOT),
    )
    added = [] if columns is None else [name for name in columns.columns if name != "id"]
    if columns is not None:
        rows = rows.join(columns, on="id", how="inner")
    rows = rows.repartition(n_tasks, _SLOT)
    if columns is not None:
        rows = _one_of_each(rows, columns, added)
    return rows.sortWithinPartitions(_SLOT, BATCH, POSITION).select(
        BATCH, POSITION, "id", *map(quote, added), _SLOT
    )


def _one_of_each(rows: DataFrame, columns: DataFrame, added: Sequence[str]) -> DataFrame:
    """Keep one row of each place: copies of a point may differ in their columns."""
    kinds = {field.name: field.dataType.simpleString() for field in columns.schema}
    hashable = [n for n in added if not re.search("map<|variant|void", kinds[n])]
    order = F.xxhash64(*map(quote, hashable)) if hashable else F.lit(0)
    place = Window.partitionBy(_SLOT, BATCH, POSITION).orderBy(order)
    numbered = rows.withColumn("_evenlake_copy", F.row_number().over(place))
    return numbered.where("_evenlake_copy = 1")


def _placed(folder: Folder, layout: Layout) -> list[File]:
    """Check the written files, and move them to their places."""
    wanted, found = layout.batches_of_files, folder.written()
    by_slot = {int(path.split(f"{_SLOT}=")[1].split("/")[0]): path for path in found}
    n_rows = {}
    for slot, path in by_slot.items():
        with folder.open(path) as file:
            n_rows[slot] = pq.ParquetFile(file).metadata.num_rows
    n_wanted = sum(one.n_rows for one in layout.rounds)
    if (n_found := sum(n_rows.values())) < n_wanted:
        raise InputError(
            f"{n_wanted - n_found} of {n_wanted} rows have no row of their id in the pool; want "
            "the pool that they were selected from: check input.table and input.version"
        )
    if n_found > n_wanted or len(by_slot) < len(found) or sorted(by_slot) != [*range(len(wanted))]:
        raise CurationError(
            f"Spark wrote {n_found} rows in {len(found)} files, want {n_wanted} rows in "
            f"{len(wanted)}; is another export to this folder under way? Run this one again"
        )
    files = []
    for slot, (first, last) in enumerate(wanted):
        name = f"part-{slot:05}.parquet"
        folder.place(by_slot[slot], name)
        files.append(File(name, first, last, n_rows[slot]))
    return files
