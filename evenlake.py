"""The installed command; where another package stands in the place of ours, it says so."""

import runpy
from pathlib import Path


def main() -> int:
    """Run one command; give its exit code."""
    # by its place, as its name may be another's
    doctor = runpy.run_path(str(Path(__file__).resolve().parent / "jobs" / "check_environment.py"))
    if any(status == "FAIL" for status, _ in doctor["check_code"]()):
        return int(doctor["main"]([]))
    from jobs.__main__ import main as command

    return command()
