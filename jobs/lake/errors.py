"""Errors that Evenlake raises on purpose, each with the exit code that a command gives back.

And what Spark raises, said in one line.
"""

import re

from pyspark.errors import PySparkException

SPARK_ERRORS: tuple[type[Exception], ...] = (PySparkException,)
try:  # what the JVM throws and pyspark has no class for
    from py4j.protocol import Py4JError

    SPARK_ERRORS += (Py4JError,)
except ModuleNotFoundError:  # a client of Spark Connect alone
    pass

_MAX_REASON = 300  # characters


class CurationError(Exception):
    """Something that the user can act on: the message says what was found, wanted, and the fix."""

    exit_code = 1


class ConfigError(CurationError):
    """The config asks for something unknown, impossible or not built yet."""

    exit_code = 2


class InputError(CurationError):
    """The input cannot be read as the config describes it."""

    exit_code = 2


class GuardError(CurationError):
    """A guard refused to go on, such as too many rejects."""

    exit_code = 3


def reason(error: BaseException) -> str:
    """Give the one line of an error that a person needs, without the JVM's stack."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    is_py4j = lines[0].startswith("An error occurred while calling") and len(lines) > 1
    line = lines[1].removeprefix(": ") if is_py4j else lines[0]
    return re.sub(r"\s*SQLSTATE: .*", "", line)[:_MAX_REASON]
