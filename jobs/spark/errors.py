"""Spark's exceptions, and the one line of their message that a person needs."""

import re

from pyspark.errors import PySparkException

SPARK_ERRORS: tuple[type[Exception], ...] = (PySparkException,)
try:  # JVM exceptions that pyspark has no class for
    from py4j.protocol import Py4JError

    SPARK_ERRORS += (Py4JError,)
except ModuleNotFoundError:  # only with a Spark Connect client
    pass

_MAX_REASON = 300  # characters


def reason(error: BaseException) -> str:
    """Return the first line of an error's message, without the JVM's stack.

    Names in it come from the lake, so terminal control characters are removed.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    is_py4j = lines[0].startswith("An error occurred while calling") and len(lines) > 1
    line = lines[1].removeprefix(": ") if is_py4j else lines[0]
    shown = "".join(c if c.isprintable() else "\ufffd" for c in line)
    return re.sub(r"[.;]?\s*(SQLSTATE: .*)?$", "", shown)[:_MAX_REASON]
