"""The door to the lake: where tables are, and how rows are read and written."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.config.model import OutputConfig
from jobs.config.secrets import without_secrets
from jobs.spark.ahead import look_ahead
from jobs.spark.delta import refuse_without_delta
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.foreign_types import refuse_python_types
from jobs.spark.naming import absolute, quote, without_parents
from jobs.spark.observing import observed
from jobs.spark.relative import require_one_meaning
from jobs.tables.digests import Written, digest_columns, sums, written_of
from jobs.tables.locks import exclusive, local_folder
from jobs.tables.saving import save_at_path, save_by_name, transaction_options
from jobs.tables.table import KEY, Table, name_of

log = logging.getLogger(__name__)

T = TypeVar("T")

PAGES = "reports"  # the folder of exported pages, beside the tables
_RACES = (
    "DELTA_CONCURRENT",
    "DELTA_PROTOCOL_CHANGED",
    "DELTA_METADATA_CHANGED",
    "ConcurrentModification",
)
_ATTEMPTS = 5
_ABSENT = (
    "PATH_NOT_FOUND",
    "PATH_DOES_NOT_EXIST",
    "MISSING_DELTA",
    "DELTA_TABLE_NOT_FOUND",
    "TABLE_OR_VIEW_NOT_FOUND",
    "does not exist",
    "is not a Delta table",
)


class Lake:
    """The tables of one output root, or of one schema of a catalog."""

    def __init__(self, spark: SparkSession, output: OutputConfig) -> None:
        self.spark = spark
        self._output = output
        self._there: set[str] = set()  # tables known to exist: none is ever dropped
        self._has_delta = False  # known once the session has looked up a table
        self._root: str | None = None  # in full
        if output.root is not None:
            require_one_meaning(spark, "output.root", output.root)
            self._root = absolute(without_parents(output.root))

    @property
    def lease_seconds(self) -> float:
        """Return how long a holder that shows no sign of life still counts as running."""
        return self._output.lease_seconds

    @cached_property
    def local_folder(self) -> Path | None:
        """The root's folder, if it is on this machine's file system."""
        return None if self._root is None else local_folder(self.spark, self._root)

    def address(self, table: str) -> str:
        """Return a table's path, or its quoted name in the catalog."""
        if self._root is not None:
            return f"{self._root}/{table}"
        prefix = "evenlake_" if self._output.table_prefix is None else self._output.table_prefix
        parts = (self._output.catalog, self._output.schema_, prefix + table)
        return ".".join(quote(part) for part in parts if part is not None)

    def path(self, table: Table | str) -> str | None:
        """Return a table's path; None in a catalog."""
        return None if self._root is None else self.address(name_of(table))

    def shown(self, table: str) -> str:
        """Return a table's address for display, without credentials."""
        return without_secrets(self.address(table))

    def sql_name(self, table: str) -> str:
        """Return a table's name in SQL, quoted."""
        address = self.address(table)
        return f"delta.{quote(address)}" if self._root is not None else address

    def read(self, table: Table | str, stage_key: str | None = None) -> DataFrame:
        """Read the rows of one stage key, without that column; or the whole table.

        In a declared table, columns added since the rows were written read as their defaults.
        """
        rows = self._stored(name_of(table))
        if isinstance(table, Table):
            rows = table.completed(rows)
        if stage_key is None:
            return rows
        return rows.where(F.col(KEY) == stage_key).drop(KEY)

    def _stored(self, name: str) -> DataFrame:
        if self._root is not None:
            rows = self.spark.read.format("delta").load(self.address(name))
        else:
            rows = self.spark.table(self.address(name))
        return refuse_python_types(rows, self.shown(name))

    def exists(self, table: Table | str) -> bool:
        """Return whether the table exists; checks the lake until it does.

        Raises
        ------
        CurationError
            If the session has no Delta, or one that does not match its Spark.
        ConfigError
            If the output names a catalog or a schema that cannot be read.
        """
        name = name_of(table)
        if name not in self._there and self._is_stored(name):
            self._there.add(name)
        return name in self._there

    def _is_stored(self, name: str) -> bool:
        if self.local_folder is not None and self._has_delta:
            # a folder alone may come from a first commit that is under way or was interrupted
            return any((self.local_folder / name / "_delta_log").glob("[0-9]*"))
        try:
            self._stored(name)
        except SPARK_ERRORS as error:
            if any(mark in str(error) for mark in _ABSENT):
                self._has_delta = True
                return False
            refuse_without_delta(error, self.spark)
            if isinstance(error, AnalysisException):
                raise ConfigError(
                    f"{self._output_keys()} cannot be read: {reason(error)}"
                ) from error
            raise
        self._has_delta = True
        return True

    def write(
        self, table: Table, rows: DataFrame, stage_key: str, *, incarnation: int = 0
    ) -> Written:
        """Replace a stage key's rows in one commit; count and hash them in the pass that writes.

        Repeating the commit is harmless: it is skipped as the same transaction, and the stored
        rows are read back. A late commit of an earlier incarnation is skipped too: it would add
        its rows to those of the later one.
        """
        shaped = table.shaped(rows, stage_key)
        # rows may remain after a cleaning; the first incarnation has none to replace
        found = self._save_key(
            table, shaped, stage_key,
            transaction=f"{table.name}/0/0", version=incarnation + 1, is_first=incarnation == 0,
        )  # fmt: skip
        if found is None:
            return self.describe(table, stage_key)
        return replace(written_of(found), is_new=True)

    def replace(
        self, table: Table, rows: DataFrame, stage_key: str, *, transaction: str, version: int = 1
    ) -> None:
        """Replace a stage key's rows in one commit, unless the transaction is at that version."""
        shaped = table.shaped(rows, stage_key)
        self._save_key(
            table, shaped, stage_key, transaction=transaction, version=version, is_first=False
        )

    def _save_key(
        self,
        table: Table,
        rows: DataFrame,
        stage_key: str,
        *,
        transaction: str,
        version: int,
        is_first: bool,
    ) -> dict[str, Any] | None:
        """Save a stage key's rows; return their sums, or None if the commit was skipped."""

        def save() -> dict[str, Any] | None:
            seen, figures = observed(rows, *sums(digest_columns(table, rows)))
            self.save(
                seen,
                table.name,
                options=dict(table.writer_options)
                | transaction_options(f"{stage_key}/{transaction}", version)
                | {"userMetadata": json.dumps({KEY: stage_key, "table": table.name})},
                replaces=None if is_first else f"{KEY} = '{stage_key}'",
                partitioned_by=KEY,
            )
            return figures()

        return self.commit(table.name, save)

    def describe(self, table: Table | str, stage_key: str) -> Written:
        """Count a stage key's rows and hash them, whatever their order.

        Columns that depend on the input's version or the clock are left out of the hash, so that
        the same content has the same digest anywhere; so are packed vectors, to save time: the
        embeddings that they derive from are hashed already.
        """
        stored = self._stored(name_of(table))
        columns = digest_columns(table if isinstance(table, Table) else None, stored)
        rows = stored.where(F.col(KEY) == stage_key)
        return written_of(rows.agg(*sums(columns)).collect()[0].asDict())

    def append(
        self, table: Table, rows: DataFrame, *, transaction: str | None = None, version: int = 0
    ) -> bool:
        """Append rows, which carry their stage keys, unless the transaction is at that version.

        For the ledger, whose rows are never replaced.

        Returns
        -------
        is_added : whether this commit is known to have added these rows
        """
        rows = table.shaped(rows, None)

        def save() -> bool:
            seen, figures = observed(rows, F.count("*").alias("n"))
            options = {} if transaction is None else transaction_options(transaction, version)
            self.save(seen, table.name, options=dict(table.writer_options) | options)
            return figures() is not None

        is_new = not self.exists(table)
        try:
            is_added = self.commit(table.name, save)
        except SPARK_ERRORS as error:
            if not is_new or is_race(error):
                raise
            raise ConfigError(
                f"{self._output_keys()} cannot hold the table {table.name}: {reason(error)}; want "
                "a folder or a schema that you may write to"
            ) from error
        self.look_ahead(table)
        return is_added

    def look_ahead(self, *tables: Table) -> None:
        """Have what the next commits to some tables ask for looked up in the background."""
        paths = map(self.path, tables)
        look_ahead(self.spark, [path for path in paths if path is not None])

    def commit(self, table: str, commit: Callable[[], T]) -> T:
        """Run a commit; retry if another writer changed the table's metadata meanwhile.

        Parameters
        ----------
        commit : sets up its observation anew in every attempt: a failed one has used it up
        """
        for attempt in range(_ATTEMPTS):
            try:
                with exclusive(self.local_folder, table, self.lease_seconds):
                    return commit()
            except SPARK_ERRORS as error:
                if attempt + 1 == _ATTEMPTS or not is_race(error):
                    raise
                log.info("commit raced attempt=%d", attempt + 1)
                time.sleep(2.0**attempt / 4)
        raise AssertionError("the last attempt returns or raises")

    def save(
        self,
        rows: DataFrame,
        table: str,
        *,
        options: Mapping[str, str],
        replaces: str | None = None,
        partitioned_by: str | None = None,
    ) -> None:
        """Write rows to a table's place in the output in one commit; see ``saving``."""
        save = save_at_path if self._root is not None else save_by_name
        save(
            rows, self.address(table),
            is_new=not self.exists(table), options=options, replaces=replaces,
            partitioned_by=partitioned_by,
        )  # fmt: skip
        self._there.add(table)

    def _output_keys(self) -> str:
        """Name the output as the config does."""
        named = self._output.model_dump(by_alias=True, exclude_none=True, exclude={"lease_seconds"})
        return ", ".join(f"output.{key}={value!r}" for key, value in named.items())


def is_race(error: Exception) -> bool:
    """Return whether an error means that another writer committed in between."""
    return any(race in str(error) for race in _RACES)
