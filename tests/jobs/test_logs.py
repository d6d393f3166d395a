"""Log lines for people and for machines; what a notebook has to have installed."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.__main__ import main as evenlake
from jobs.cli.logs import JsonLines

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_json_line_has_the_message_and_its_facts() -> None:
    message = "stage=%s done=%d elapsed=%.0fs"
    record = logging.LogRecord("jobs.x", logging.INFO, "", 0, message, ("embed", 3, 20.0), None)
    record.created = 0.0625
    assert json.loads(JsonLines().format(record)) == {
        "time": "1970-01-01T00:00:00.062+00:00",
        "level": "INFO",
        "logger": "jobs.x",
        "message": "stage=embed done=3 elapsed=20s",
        "facts": {"stage": "embed", "done": "3", "elapsed": "20s"},
    }


def test_a_stack_stays_on_its_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", None, sys.exc_info())
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["stack"].endswith("ValueError: two\nlines")


@pytest.mark.parametrize(
    "words", ["curate", "tune", "plan", "runs list", "runs clean", "verify 1234", "explain x"]
)
def test_the_last_line_is_json_too(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *more = words.split()
    options = ["--quiet", "--log-format", "json", "--config", "nowhere.yaml"]
    assert evenlake([name, *options, *more]) == 2
    printed = capsys.readouterr()
    last = json.loads(printed.err.splitlines()[-1])
    assert printed.out == ""
    assert (last["level"], last["message"]) == (
        "ERROR",
        "config: cannot read the config nowhere.yaml: No such file or directory",
    )


def test_run_needs_no_command_line() -> None:
    """Released Databricks runtimes lack these; on a cluster no lock is taken either."""
    absent = ("typer", "rich", "click", "filelock")
    script = f"""
import sys
sys.modules.update(dict.fromkeys({absent!r}))  # importing them fails
from jobs import curate
print(curate.run.__name__, curate.page.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run page\n"
