"""Bands: files of equally many rows in the sample's order, whose own rows are shuffled."""

from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.exporting.folder import HERE
from jobs.exporting.slots import SLOT
from jobs.spark.frames import as_frame, as_table


class Part(NamedTuple):
    """A split, or the whole sample.

    Attributes
    ----------
    name : None for the whole
    first : the number of its first file
    """

    name: str | None
    n_rows: int
    n_files: int
    first: int

    @property
    def folder(self) -> str:
        """Where it is, relative to the folder of the export."""
        return self.name or HERE

    @property
    def rows_of_files(self) -> list[int]:
        """The number of rows in every file; any two differ by at most one."""
        starts = [-(-i * self.n_rows // self.n_files) for i in range(self.n_files + 1)]
        return [end - start for start, end in zip(starts, starts[1:], strict=False)]

    def path(self, i: int, suffix: str) -> str:
        """Return the path of the i-th file, relative to the export's folder."""
        name = f"part-{i:05}{suffix}"
        return name if self.name is None else f"{self.name}/{name}"


def parts_of(
    names: Sequence[str | None], n_rows: Sequence[int], *, row_bytes: float, file_bytes: float
) -> list[Part]:
    """Lay every split out in as few files as their size allows."""
    parts: list[Part] = []
    for name, n in zip(names, n_rows, strict=True):
        n_files = min(n, max(1, -int(-n * row_bytes // file_bytes)))
        first = parts[-1].first + parts[-1].n_files if parts else 0
        parts.append(Part(name, n, n_files, first))
    return parts


def banded(rows: DataFrame, parts: Sequence[Part]) -> DataFrame:
    """Return rows with the number of the file that each goes to.

    Parameters
    ----------
    rows : split INT, place BIGINT from 0 in each split, and others

    Returns
    -------
    rows : the others, _evenlake_file
    """
    told = [(i, part.n_rows, part.n_files, part.first) for i, part in enumerate(parts)]
    sizes = as_table(told, "split int, _n_rows bigint, _n_files bigint, _first bigint")
    of_parts = F.broadcast(as_frame(rows.sparkSession, sizes))
    slot = F.expr("_first + place * _n_files DIV _n_rows").alias(SLOT)
    kept = [name for name in rows.columns if name not in ("split", "place")]
    return rows.join(of_parts, on="split", how="inner").select(*kept, slot)
