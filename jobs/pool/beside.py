"""Tables beside the pool that a config names: opened as the pool is, pinned to their content."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError, InputError
from jobs.config.model import InputConfig
from jobs.pool.inputs import Pool, open_pool
from jobs.reading.rows import MALFORMED
from jobs.sections.kinds import TableConfig
from jobs.spark.naming import absolute, is_full, quote
from jobs.spark.relative import require_one_meaning

TableT = TypeVar("TableT", bound=TableConfig)

_KEYS_OF_INPUT = re.compile(r"(?<![\w/.'\"-])input\.(?=[a-z])")  # but not a file of that name


def opened(spark: SparkSession, key: str, table: TableConfig, **columns: str) -> Pool:
    """Open a table as a pool is opened, errors naming the key of the config that it is from.

    Parameters
    ----------
    columns : what is read of it, by keys of the input such as id and content

    Raises
    ------
    InputError
        If it does not exist or cannot be read as described.
    """
    same = ("table", "format", "options", "where", "version")
    given = {name: getattr(table, name) for name in same} | columns
    with named_as(key):
        if "/" in given["table"] and not is_full(given["table"]):
            require_one_meaning(spark, "input.table", given["table"])
            given["table"] = _in_full(given["table"])
        return open_pool(spark, InputConfig.model_validate(given))


def column_of(rows: DataFrame, text: str) -> Column:
    """Return the column of that name or, if there is none, the SQL expression."""
    return F.col(quote(text)) if text in rows.columns else F.expr(text)


def content_of(rows: DataFrame, text: str) -> Column:
    """Return a column or SQL expression; null in broken records, whose fields may be shifted."""
    column = column_of(rows, text)
    return F.when(F.col(MALFORMED).isNull(), column) if MALFORMED in rows.columns else column


def _in_full(path: str) -> str:
    """Return a relative path in full, without its .. if it has one."""
    return str(Path(path).resolve()) if ".." in Path(path).parts else absolute(path)


@contextmanager
def named_as(key: str) -> Iterator[None]:
    """Name a key of the config where errors name the input's.

    Raises
    ------
    ConfigError, InputError
    """
    try:
        yield
    except (ConfigError, InputError) as error:
        raise type(error)(_KEYS_OF_INPUT.sub(f"{key}.", str(error))) from error


def pinned(key: str, table: TableT, pool: Pool | None, code: str | None = None) -> TableT:
    """Return a table's config with its path in full, and its current fingerprint.

    Parameters
    ----------
    key : the config key that names the table
    pool : the table as opened; None if it is the run's own pool, which has its own fingerprint
    code : the version of the user's code that is called on it

    Raises
    ------
    ConfigError
        If the config names another fingerprint.
    """
    parts = [] if pool is None else [pool.fingerprint]
    found = "+".join([*parts, *([code] if code else [])]) or None
    if table.fingerprint not in (None, found):
        raise ConfigError(
            f"{key}.fingerprint={table.fingerprint!r}, but {table.table or table} is {found!r} "
            "now; null takes whatever is there"
        )
    place = table.table
    if place is not None and pool is not None and not is_full(place) and is_full(pool.name):
        place = _in_full(place)  # one key for a table, however it is named
    return table.model_copy(update={"fingerprint": found, "table": place})
