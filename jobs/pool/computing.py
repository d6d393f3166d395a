"""Errors of the user's own SQL, which come up once rows are read: said as what they are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.config.errors import InputError
from jobs.spark.errors import SPARK_ERRORS, reason

# the class of an error and, if it is of SQL that somebody wrote, that SQL
_TOLD = re.compile(r"\[[A-Z_.]+\] .*(?s:.{0,200}?)== SQL.*==\n(.+)")


@contextmanager
def computable() -> Iterator[None]:
    """Tell which expression of a config cannot be computed on some row.

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
        f"computed on some row: {reason(Exception(found[0]))}; mend the row, or write what holds "
        "for it too, such as try_cast(x as int)"
    ) from error
