"""The door to the lake: where tables are, and how rows get in and out."""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.config.model import OutputConfig
from jobs.config.secrets import without_secrets
from jobs.spark.delta import refuse_without_delta
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.foreign_types import refuse_python_types
from jobs.spark.naming import absolute, literal, quote
from jobs.tables.locks import alone, local_folder
from jobs.tables.schemas import NOT_CONTENT, properties, shaped

log = logging.getLogger(__name__)

PAGES = "reports"  # the folder of exported pages, beside the tables
# Packed floats do not compress. Delta passes on no other option of Parquet's.
_WRITER_OPTIONS = {"blocks": {"compression": "none"}}
_RACES = (
    "DELTA_CONCURRENT",
    "DELTA_PROTOCOL_CHANGED",
    "DELTA_METADATA_CHANGED",
    "ConcurrentModification",
)
_ATTEMPTS = 5
_VACUUM_CHECK, _SAFE_HOURS = "spark.databricks.delta.retentionDurationCheck.enabled", 168
_VACUUMS_AT_ONCE, _LONGEST_WRITE = 4, timedelta(days=1)
_LOW_BITS = 2**32 - 1  # sums of these stay below 2^63 up to two billion rows


class Lake:
    """The tables of one output root, or of one schema of a catalog."""

    def __init__(self, spark: SparkSession, output: OutputConfig) -> None:
        self.spark = spark
        self._output = output

    @property
    def lease_seconds(self) -> float:
        """Return how long a holder that says nothing is believed to be at work."""
        return self._output.lease_seconds

    @cached_property
    def local_folder(self) -> Path | None:
        """Return the root's folder, where that is on this machine's file system."""
        root = self._output.root
        return None if root is None else local_folder(self.spark, absolute(root))

    def address(self, table: str) -> str:
        """Return a table's path, or its quoted name in the catalog."""
        if self._output.root is not None:
            return f"{absolute(self._output.root)}/{table}"
        prefix = "evenlake_" if self._output.table_prefix is None else self._output.table_prefix
        parts = (self._output.catalog, self._output.schema_, prefix + table)
        return ".".join(quote(part) for part in parts if part is not None)

    def shown(self, table: str) -> str:
        """Return a table's address for people to read, without credentials."""
        return without_secrets(self.address(table))

    def _sql_name(self, table: str) -> str:
        address = self.address(table)
        return f"delta.{quote(address)}" if self._output.root is not None else address

    def read(self, table: str, stage_key: str | None = None) -> DataFrame:
        """Read the rows of one stage key, without that column; or the whole table."""
        if self._output.root is not None:
            rows = self.spark.read.format("delta").load(self.address(table))
        else:
            rows = self.spark.table(self.address(table))
        refuse_python_types(rows, self.shown(table))
        if stage_key is None:
            return rows
        return rows.where(F.col("stage_key") == stage_key).drop("stage_key")

    def exists(self, table: str) -> bool:
        """Tell whether the table is there.

        Raises
        ------
        CurationError
            Where the session knows no Delta, or one that does not fit.
        ConfigError
            Where the output names a catalog or a schema that cannot be.
        """
        try:
            self.read(table)
        except SPARK_ERRORS as error:
            text = str(error)
            if any(
                m in text
                for m in (
                    "PATH_NOT_FOUND",
                    "PATH_DOES_NOT_EXIST",
                    "MISSING_DELTA",
                    "DELTA_TABLE_NOT_FOUND",
                    "TABLE_OR_VIEW_NOT_FOUND",
                    "does not exist",
                    "is not a Delta table",
                )
            ):
                return False
            refuse_without_delta(error, self.spark)
            if isinstance(error, AnalysisException):
                raise ConfigError(
                    f"{self._output_keys()} cannot be read: {reason(error)}"
                ) from error
            raise
        return True

    def write(
        self, table: str, rows: DataFrame, stage_key: str, *, incarnation: int = 0
    ) -> tuple[int, str]:
        """Replace a stage key's rows in one commit, and read back what is there.

        Repeating the commit is harmless: it is skipped as the same transaction.

        Returns
        -------
        n_rows : int
        digest : an order-free hash of the rows
        """
        self.replace(table, rows, stage_key, transaction=f"{table}/0/{incarnation}")
        return self.describe(table, stage_key)

    def replace(
        self, table: str, rows: DataFrame, stage_key: str, *, transaction: str, version: int = 1
    ) -> None:
        """Replace a stage key's rows in one commit, unless a transaction has got that far."""
        rows = shaped(table, rows, stage_key)
        writer = (
            rows.write.format("delta")
            .mode("overwrite")
            .partitionBy("stage_key")
            .options(**({} if self.exists(table) else properties(rows)))
            .option("replaceWhere", f"stage_key = '{stage_key}'")
            .option("txnAppId", f"{stage_key}/{transaction}")
            .option("txnVersion", version)
            .option("userMetadata", json.dumps({"stage_key": stage_key, "table": table}))
            .options(**_WRITER_OPTIONS.get(table, {}))
        )
        self._commit(table, lambda: self._save(writer, table))

    def describe(self, table: str, stage_key: str) -> tuple[int, str]:
        """Count a stage key's rows and hash them, whatever their order.

        Columns that name the input's version or the clock are left out of the hash, so that the
        same content has the same digest anywhere; so are packed vectors, for time's sake: the
        embeddings that they follow from have been hashed.
        """
        rows = self.read(table, stage_key)
        hashed = [
            F.map_entries(f.name) if f.dataType.typeName() == "map" else F.col(f.name)
            for f in rows.schema
            if f.name not in NOT_CONTENT
        ]
        h = F.xxhash64(*hashed)
        # bigint sums of parts, as a decimal sum takes three times as long
        low, high = h.bitwiseAND(F.lit(_LOW_BITS)), F.shiftright(h, 32)
        found = rows.agg(
            F.count("*").alias("n"), F.sum(low).alias("low"), F.sum(high).alias("high")
        )
        row = found.collect()[0]
        return row.n, f"{((row.high or 0) * 2**32 + (row.low or 0)) % 2**64:016x}"

    def count(self, table: str, stage_keys: Sequence[str]) -> dict[str, int]:
        """Count the rows of some stage keys; those without rows are left out."""
        mine = self.read(table).where(F.col("stage_key").isin(list(stage_keys)))
        return {row.stage_key: row["count"] for row in mine.groupBy("stage_key").count().collect()}

    def remove(self, table: str, stage_keys: Sequence[str]) -> None:
        """Delete the rows of some stage keys in one commit.

        A write of such a key needs another incarnation from then on: Delta would skip it as the
        transaction that it has seen.
        """
        keys = ", ".join(literal(key) for key in stage_keys)  # Delta's DELETE binds no parameters
        name = self._sql_name(table)  # quoted, as the keys are
        statement = f"DELETE FROM {name} WHERE stage_key IN ({keys})"  # nosec B608
        self._commit(table, lambda: self.spark.sql(statement))

    def compact(self, table: str) -> None:
        """Put a table's small files together."""
        name = self._sql_name(table)  # quoted
        self._commit(table, lambda: self.spark.sql(f"OPTIMIZE {name}"))

    def vacuum(self, tables: Sequence[str], older_than: timedelta) -> None:
        """Delete the files that tables have not referred to for that long.

        Below Delta's own limit of a week this is safe as long as nobody reads an older version, or
        writes for longer than that. Where writers cannot be kept out meanwhile, a day is the least.
        """
        if self.local_folder is None:
            older_than = max(older_than, _LONGEST_WRITE)
        hours = older_than.total_seconds() / 3600
        before = self.spark.conf.get(_VACUUM_CHECK, None)
        if hours < _SAFE_HOURS:
            self.spark.conf.set(_VACUUM_CHECK, "false")

        def vacuum(table: str) -> None:
            with alone(self.local_folder, table, self.lease_seconds):
                self.spark.sql(f"VACUUM {self._sql_name(table)} RETAIN {hours:g} HOURS")

        try:
            with ThreadPoolExecutor(_VACUUMS_AT_ONCE) as pool:
                list(pool.map(vacuum, tables))
        finally:
            if before is None:
                self.spark.conf.unset(_VACUUM_CHECK)
            else:
                self.spark.conf.set(_VACUUM_CHECK, before)

    def append(
        self, table: str, rows: DataFrame, *, transaction: str | None = None, version: int = 0
    ) -> None:
        """Append rows, which carry their stage keys, unless a transaction has got that far.

        For the ledger, whose rows are never replaced.
        """
        rows = shaped(table, rows, None)
        self._create(table, rows)
        writer = rows.write.format("delta").mode("append")
        if transaction is not None:
            writer = writer.option("txnAppId", transaction).option("txnVersion", version)
        self._commit(table, lambda: self._save(writer, table))

    def publish(
        self, table: str, rows: DataFrame | None, metadata: Mapping[str, Any], *, version: int
    ) -> None:
        """Replace a whole table, schema included, in one commit, unless a later version is there.

        Parameters
        ----------
        rows : None where those that are there are published once more
        version : rises from one publication to the next
        """
        if rows is None:
            writer = self.read(table).limit(0).write.mode("append")
        else:
            writer = rows.write.mode("overwrite").option("overwriteSchema", "true")
        writer = (
            writer.format("delta")
            .option("txnAppId", f"publish/{table}")
            .option("txnVersion", version)
            .option("userMetadata", json.dumps(metadata))
        )
        self._commit(table, lambda: self._save(writer, table))

    def last_metadata(self, table: str) -> dict[str, Any]:
        """Return the userMetadata of a table's last write; empty where there is none."""
        if not self.exists(table):
            return {}
        history = self.spark.sql(f"DESCRIBE HISTORY {self._sql_name(table)}")
        for row in history.orderBy(F.desc("version")).select("userMetadata").collect():
            if row.userMetadata:
                # another writer's own words
                with contextlib.suppress(ValueError, TypeError, RecursionError):
                    return dict(json.loads(row.userMetadata))
        return {}

    def _commit(self, table: str, commit: Callable[[], Any]) -> None:
        """Run a commit, and again when another writer changed the table's metadata meanwhile."""
        for attempt in range(_ATTEMPTS):
            try:
                with alone(self.local_folder, table, self.lease_seconds):
                    commit()
                return
            except SPARK_ERRORS as error:
                if attempt + 1 == _ATTEMPTS or not any(race in str(error) for race in _RACES):
                    raise
                log.info("commit raced attempt=%d", attempt + 1)
                time.sleep(2.0**attempt / 4)

    def _save(self, writer: Any, table: str) -> None:
        if self._output.root is not None:
            writer.save(self.address(table))
        else:
            writer.saveAsTable(self.address(table))

    def _create(self, table: str, rows: DataFrame) -> None:
        """Create a table ahead of its rows, so that a place that cannot hold it is told apart.

        In one partition: what is only appended to can then be compacted into one file.
        """
        if self.exists(table):
            return
        columns = ", ".join(f"{quote(f.name)} {f.dataType.simpleString()}" for f in rows.schema)
        settings = ", ".join(f"'{k}' = '{v}'" for k, v in properties(rows).items())
        statement = (
            f"CREATE TABLE IF NOT EXISTS {self._sql_name(table)} ({columns}) USING DELTA "
            f"TBLPROPERTIES ({settings})"
        )
        try:
            self._commit(table, lambda: self.spark.sql(statement))
        except SPARK_ERRORS as error:
            raise ConfigError(
                f"{self._output_keys()} cannot hold the table {table}: {reason(error)}; want a "
                "folder or a schema that you may write to"
            ) from error

    def _output_keys(self) -> str:
        """Name the place as the config does."""
        named = self._output.model_dump(by_alias=True, exclude_none=True, exclude={"lease_seconds"})
        return ", ".join(f"output.{key}={value!r}" for key, value in named.items())
