"""Log lines on stderr, for the commands: as text, or one JSON object a line."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

from pyspark.logger import PySparkLogger

from jobs.cli.log_style import LogFormat, LogStyle

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_FACT = re.compile(r"(?:^|\s)([\w.]+)=(\S+)")  # messages state facts as key=value


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, its facts, and the stack if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        message = record.getMessage()
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
        }
        if facts := dict(_FACT.findall(message)):
            line["facts"] = facts
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logging(style: LogStyle) -> None:
    """Send log lines to stderr; called by the commands, never on import."""
    handler = logging.StreamHandler(sys.stderr)
    is_json = style.format is LogFormat.json
    handler.setFormatter(JsonLines() if is_json else logging.Formatter(_TEXT))
    level = logging.WARNING if style.is_quiet or style.is_live else logging.INFO
    logging.basicConfig(handlers=[handler], level=level)
    logging.captureWarnings(is_json)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    # pyspark prints the JVM's stack for every query error, even if it is caught
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)


def say_last(line: str, style: LogStyle) -> None:
    """Write a command's last line to stderr, which says why it failed."""
    if style.format is LogFormat.json:
        record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, line, None, None)
        line = JsonLines().format(record)
    sys.stderr.write(f"{line}\n")
