"""Examine text files before Spark parses them, and refuse what its readers would not report."""

import logging
from collections.abc import Callable
from functools import partial

from pyspark.sql import Row, SparkSession

from jobs.config.errors import InputError
from jobs.reading.files import Files
from jobs.reading.sources import WHOLE, sources_of
from jobs.spark.classic import is_on_one_machine
from udfs.readers.sources import Source
from udfs.readers.text_checks import SCHEMA, Looks, look_into

log = logging.getLogger(__name__)

_LARGEST = 1 << 30  # bytes of a file that a worker examines at once
_LARGEST_LINES = 1 << 28  # bytes of a file that Spark would read in parts
_AT_ONCE = 16 << 20  # bytes of a pool that the driver examines itself


def looks_of(
    spark: SparkSession, files: Files, look: Callable[[Source], Looks], *, in_parts: bool = False
) -> list[Row]:
    """Examine the files of a pool.

    Parameters
    ----------
    in_parts : whether a local file is read in parts, and so may have any size

    Raises
    ------
    InputError
        If one of them cannot be read as it is.
    """
    small = [
        file.path
        for file in files.found
        if (files.is_local and in_parts) or file.length <= _largest(file.path, in_parts=in_parts)
    ]
    if len(small) < len(files.found):
        log.warning(
            "%d files are too large to be looked into before Spark reads them, which drops what "
            "follows a record or a quoted field", len(files.found) - len(small),
        )  # fmt: skip
    if not small or (files.is_local and files.n_bytes <= _AT_ONCE and is_on_one_machine(spark)):
        found = [Row(path=path, **look(Source(path))._asdict()) for path in small]
    else:
        sources = sources_of(spark, {path: [WHOLE] for path in small})
        found = sources.mapInPandas(partial(look_into, look=look), SCHEMA).collect()
    wrong = next((file for file in found if file.wrong is not None), None)
    if wrong is not None:
        raise InputError(f"input.table={files.path!r}: {wrong.path}: {wrong.wrong}")
    return found


def _largest(path: str, *, in_parts: bool) -> int:
    """Return the bytes of a file that a worker is given; Spark itself reads lines as they come."""
    return _LARGEST_LINES if in_parts and not path.endswith(".json") else _LARGEST
