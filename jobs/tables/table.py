"""A table: its columns, their order and types, and which of them are content."""

from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.spark.naming import literal, quote

KEY = "stage_key"
# For tables with ids: the generation of an update and what it did; a first run is all upserts.
GENERATION = "generation INT DEFAULT 0, op STRING DEFAULT 'upsert'"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    kind : SQL type; ``{id}`` stands for the pool's own id type
    default : the SQL literal for rows without a value, including rows older than the column; None
        for null
    """

    name: str
    kind: str
    default: str | None = None

    @property
    def filler(self) -> Expression:
        """The default value, as an expression."""
        return F.lit(None) if self.default is None else F.expr(self.default)


@dataclass(frozen=True)
class Table:
    """A table of the lake; its first column is ``stage_key``, followed by these.

    A column may be added anywhere, with or without a default: existing tables gain it, their old
    rows read as the default, and their digests stay, as a null adds nothing to a row's hash.

    Attributes
    ----------
    ddl : name and type of every column, such as ``id {id}, level INT DEFAULT 1``
    not_content : columns that digests leave out: they depend on the input's version or the clock,
        or follow from another table
    writer_options : options of Delta's writer
    """

    name: str
    ddl: str
    not_content: tuple[str, ...] = ()
    writer_options: tuple[tuple[str, str], ...] = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns after ``stage_key``."""
        columns = []
        for declared in self.ddl.split(", "):
            name, kind = declared.split(" ", 1)
            kind, _, default = kind.partition(" DEFAULT ")
            columns.append(Column(name, kind, default or None))
        return tuple(columns)

    def shaped(self, rows: DataFrame, stage_key: str | None) -> DataFrame:
        """Put the columns in the table's order and types; missing ones get their default.

        Raises
        ------
        ValueError
            If the rows lack a column that has no default.
        """
        absent = {c.name for c in self.columns if c.default is None} - set(rows.columns)
        if absent:
            raise ValueError(f"rows of {self.name} lack {sorted(absent)}; they have {rows.columns}")
        id_type = rows.schema["id"].dataType.simpleString() if "{id}" in self.ddl else ""
        # in SQL, as every call of a column's method is a round trip to the JVM
        columns = [KEY if stage_key is None else f"{literal(stage_key)} AS {KEY}"]
        for column in self.columns:
            value, kind = column.default or "NULL", column.kind.format(id=id_type)
            value = quote(column.name) if column.name in rows.columns else value
            columns.append(f"CAST({value} AS {kind}) AS {quote(column.name)}")
        return rows.selectExpr(*columns)

    def completed(self, rows: DataFrame) -> DataFrame:
        """Fill in columns that rows of an older version of the table lack."""
        known = set(rows.columns)
        added = {}
        for column in self.columns:
            if column.name not in known and "{id}" not in column.kind:
                added[column.name] = column.filler.cast(column.kind)
            elif column.name in known and column.default is not None:
                added[column.name] = F.coalesce(F.col(column.name), column.filler.cast(column.kind))
        return rows.withColumns(added) if added else rows


def name_of(table: Table | str) -> str:
    """Return a table's name; published samples are given by name only."""
    return table if isinstance(table, str) else table.name


def properties(rows: DataFrame) -> dict[str, str]:
    """Return the properties of a table created for these rows: statistics on simple columns."""
    indexed = sum(f.dataType.typeName() not in ("array", "map", "binary") for f in rows.schema)
    return {"delta.dataSkippingNumIndexedCols": str(indexed)}
