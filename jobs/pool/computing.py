"""Errors of the user's own SQL and code, which come up once rows are read: reported as they are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.config.errors import ConfigError, InputError
from jobs.spark.errors import SPARK_ERRORS, reason
from udfs.embedders.contract import EmbedderError

# the class of an error and, for SQL that somebody wrote, that SQL
_TOLD = re.compile(r"\[[A-Z_.]+\] .*(?s:.{0,200}?)== SQL.*==\n(.+)")

_OF_SQL = re.compile(r"\[[A-Z_.]+\] .*\n== (SQL|DataFrame)")


@contextmanager
def computable() -> Iterator[None]:
    """Name the expression of a config that cannot be computed on some row.

    Raises
    ------
    InputError
    """
    try:
        yield
    except SPARK_ERRORS as error:
        refuse_uncomputable(error)
        raise


def refuse_uncomputable(error: Exception) -> None:
    """Raise a helpful error if a Spark error comes from SQL in the config.

    Raises
    ------
    InputError
    """
    if (found := _TOLD.search(str(error))) is None:
        return
    raise InputError(
        f"{found[1].strip()!r}, of input.where, id, content, embedding or metadata, cannot be "
        f"computed on some row: {reason(Exception(found[0]))}; fix the row, or write what holds "
        "for it too, such as try_cast(x as int)"
    ) from error


def say_own_message(error: BaseException, code: str) -> None:
    """Raise the workers' message if Spark's error comes from a plug-in.

    Parameters
    ----------
    code : what the plug-in is, for the message

    Raises
    ------
    ConfigError
    """
    if found := re.search(rf"\b{EmbedderError.__name__}: (.+)", str(error)):
        raise ConfigError(f"{code}: {found[1]}") from error


def say_why_code_failed(error: BaseException, key: str, code: str, fix: str) -> None:
    """Raise a helpful error if Spark's comes from user code, or from an expression beside the pool.

    Parameters
    ----------
    key : the config key whose expressions are computed
    code : what the user's code is, for the message
    fix : how to fix a row that an expression cannot be computed on

    Raises
    ------
    ConfigError
        The code's own message.
    InputError
        If an expression cannot be computed on some row.
    """
    say_own_message(error, code)
    if isinstance(error, Exception) and _OF_SQL.search(str(error)):
        raise InputError(
            f"an expression of {key} cannot be computed on some row: {reason(error)}; {fix}"
        ) from error
