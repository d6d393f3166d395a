"""A driver in a process group of its own, watched from outside and killed where its log says."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Point:
    """Where to kill: some seconds after a line of the log, or after the start.

    Attributes
    ----------
    line : regular expression; empty for the start
    """

    line: str
    seconds: float = 0.0

    def __str__(self) -> str:
        """Name it for the test's id."""
        return f"{self.line or 'start'}+{self.seconds:g}s"


@dataclass
class Driver:
    """One start of the command.

    Attributes
    ----------
    exit_code : negative: the signal that ended it
    lines : of its log
    """

    arguments: Sequence[str]
    lines: list[str] = field(default_factory=list)
    exit_code: int | None = None

    def run(self, kill_at: Point | None = None, *, timeout: float = 900) -> "Driver":
        """Run to the end, or to the point; a kill takes the JVM and the workers along."""
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.curate", *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            cwd=Path(__file__).resolve().parents[2],
        )
        killer: threading.Timer | None = None

        def kill_after(seconds: float) -> threading.Timer:
            timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
            timer.start()
            return timer

        deadline = kill_after(timeout)
        if kill_at and not kill_at.line:
            killer = kill_after(kill_at.seconds)
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))
            if kill_at and killer is None and kill_at.line and re.search(kill_at.line, line):
                killer = kill_after(kill_at.seconds)
        self.exit_code = process.wait()
        for timer in (deadline, killer):
            if timer:
                timer.cancel()
        time.sleep(0.5)  # workers of a killed group may still hold files
        return self

    def last_checkpoint(self) -> int:
        """Give the last checkpoint that its log tells of; 0 for none."""
        found = [re.search(r"checkpoint=(\d+)", line) for line in self.lines]
        return max((int(m[1]) for m in found if m), default=0)
