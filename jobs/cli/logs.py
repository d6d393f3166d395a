"""Log lines on stderr, for the commands."""

import logging
import sys

from pyspark.logger import PySparkLogger


def set_up_logging(level: str = "INFO") -> None:
    """Send log lines to stderr; called by the commands, never on import.

    On a terminal, the live line replaces the INFO lines.
    """
    if level == "INFO" and sys.stderr.isatty():
        level = "WARNING"
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("py4j").setLevel(logging.WARNING)
    # pyspark prints the JVM's stack for every query error, even if it is caught
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
