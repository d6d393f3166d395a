"""What a check found; whatever a check raises becomes its finding."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jobs.config.errors import CurationError


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report: what was found and, if bad, what is wanted and the fix."""

    check: str
    status: Literal["ok", "warning", "FAIL", "skipped"]
    found: str
    wanted: str = ""
    fix: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        parts = [self.found, f"want {self.wanted}" if self.wanted else "", self.fix]
        text = "; ".join(part for part in parts if part)
        return f"{self.status:<8} {self.check}: {' '.join(_public(text).split())}"

    @property
    def is_failure(self) -> bool:
        """Whether a run would fail because of it."""
        return self.status == "FAIL"


def guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """Run a check; anything it raises is a failure."""
    try:
        return check()
    except Exception as error:
        return Finding(name, "FAIL", cause_of(error))


def cause_of(error: Exception) -> str:
    """Return the one line of an error that a person needs; for a worker's, its last line."""
    if isinstance(error, CurationError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
        lines = raised[-1:] or lines
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _public(text: str) -> str:
    """Blank out credentials, which can only come from a loaded config."""
    try:
        from jobs.config.secrets import without_secrets
    except ImportError:  # then no config was loaded
        return text
    return without_secrets(text)
