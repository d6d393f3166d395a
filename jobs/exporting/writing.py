"""Cut rows written as Parquet: sorted, whole batches to a file, files of bounded size.

Files do not cross rounds: a round's last batch may be incomplete, and would shift the row groups
after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.exporting.cutting import Round
from jobs.exporting.folder import Folder
from jobs.exporting.slots import SLOT, in_order, joined, require_rows, write_slots
from jobs.spark.frames import as_frame, as_table
from jobs.training.index import BATCH, POSITION, File, Index

# A read costs about as much as decoding this much: smaller batches share a row group.
_GROUP_BYTES = 256 << 10
_MOST_GROUPS = 4096  # row groups in a file, so that footers stay small


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
        """Lay batches out in files of at most ``file_bytes``, as Arrow counts them."""
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


def write_files(
    folder: Folder[Index], cut: DataFrame, columns: DataFrame | None, layout: Layout
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
    n_files, place = len(layout.batches_of_files), (BATCH, POSITION)
    rows = in_order(joined(_numbered(cut, layout), columns, n_files=n_files, place=place), *place)
    options = {
        "compression": "snappy",
        "maxRecordsPerFile": "0",
        "parquet.block.row.count.limit": str(layout.group_rows),
    }
    return _placed(folder, layout, write_slots(folder, rows, "parquet", options, ".parquet"))


def _numbered(cut: DataFrame, layout: Layout) -> DataFrame:
    """Return rows with their numbers : batch_id, position, id, the file's number."""
    first_file, firsts = 0, []
    for one in layout.rounds:
        firsts.append((one.round, one.first_batch, first_file))
        first_file += layout.n_files(one)
    told = as_table(firsts, "round int, first_batch bigint, first_file bigint")
    return cut.join(F.broadcast(as_frame(cut.sparkSession, told)), on="round", how="inner").select(
        (F.col("first_batch") + F.col("batch")).alias(BATCH),
        POSITION,
        "id",
        F.expr(f"first_file + batch DIV {layout.per_file}").alias(SLOT),
    )


def _placed(folder: Folder[Index], layout: Layout, by_slot: dict[int, str]) -> list[File]:
    """Check the written files, and move them to their places."""
    wanted = layout.batches_of_files
    n_rows = {}
    for slot, path in by_slot.items():
        with folder.open(path) as file:
            n_rows[slot] = pq.ParquetFile(file).metadata.num_rows
    require_rows(folder, sum(n_rows.values()), sum(one.n_rows for one in layout.rounds))
    if sorted(by_slot) != [*range(len(wanted))]:
        raise folder.disturbed(f"{len(by_slot)} files, want {len(wanted)}")
    files = []
    for slot, (first, last) in enumerate(wanted):
        name = f"part-{slot:05}.parquet"
        folder.place(by_slot[slot], name)
        files.append(File(name, first, last, n_rows[slot]))
    return files
