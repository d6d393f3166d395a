"""How a command writes its log lines."""

import sys
from dataclasses import dataclass
from enum import StrEnum


class LogFormat(StrEnum):
    """How log lines are written."""

    text = "text"
    json = "json"


@dataclass(frozen=True)
class LogStyle:
    """What a command shows on stderr while it works.

    Attributes
    ----------
    is_quiet : only warnings and errors
    """

    format: LogFormat = LogFormat.text
    is_quiet: bool = False

    @property
    def is_live(self) -> bool:
        """Whether a live line replaces the INFO lines: on a terminal, in text format."""
        return sys.stderr.isatty() and not self.is_quiet and self.format is LogFormat.text


PLAIN = LogStyle()
