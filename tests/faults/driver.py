"""A driver in its own process group, watched from outside and killed at a line of its log."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LIMIT = 1800.0  # seconds


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
        """Return a name for the test's id."""
        return f"{self.line or 'start'}+{self.seconds:g}s"


@dataclass
class Driver:
    """One start of the command.

    Attributes
    ----------
    environment : added to the test's own
    module : of the command
    lines : of its log
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    module: str = "jobs.curate"
    lines: list[str] = field(default_factory=list)

    def start(self) -> "Driver":
        """Start it; its log is read from here on."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | self.environment,
            cwd=Path(__file__).resolve().parents[2],
        )
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def says(self, line: str, *, timeout: float = LIMIT) -> bool:
        """Wait for a line in its log; False if it ends first."""
        deadline = time.monotonic() + timeout
        with self._news:
            while not any(re.search(line, said) for said in self.lines):
                if not self._reader.is_alive() or time.monotonic() > deadline:
                    return False
                self._news.wait(0.5)
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, including the JVM and the workers."""
        os.killpg(self._process.pid, number)

    def has(self, pid: int) -> bool:
        """Return whether a process is one of its own."""
        try:
            return os.getpgid(pid) == self._process.pid
        except ProcessLookupError:
            return False

    def wait(self, *, timeout: float = LIMIT) -> int:
        """Wait for its end; return its exit code, negative for the signal that ended it."""
        deadline = threading.Timer(timeout, self.send, (signal.SIGKILL,))
        deadline.start()
        self.exit_code = self._process.wait()
        deadline.cancel()
        self._reader.join()
        time.sleep(0.5)  # workers of a killed group may still hold files
        return self.exit_code

    def run(self, kill_at: Point | None = None) -> "Driver":
        """Run to the end, or to the point."""
        self.start()
        if kill_at and (not kill_at.line or self.says(kill_at.line)):
            time.sleep(kill_at.seconds)
            if self._process.poll() is None:
                self.send(signal.SIGKILL)
        self.wait()
        return self

    def end_of_log(self) -> str:
        """Return the last lines, for a failed test to show."""
        return "\n".join(self.lines[-20:])

    def last_checkpoint(self) -> int:
        """Return the number of the last checkpoint in its log; 0 for none."""
        found = [re.search(r"checkpoint=(\d+)", line) for line in self.lines]
        return max((int(m[1]) for m in found if m), default=0)
