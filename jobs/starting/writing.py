"""Write a first config as commented YAML."""

import shlex
from typing import Any

import yaml

from jobs.spark.host import host_bytes
from jobs.starting.choosing import Choice
from jobs.starting.found import Found

_ASSUMED_ROWS = 10_000  # rows of a pool of unknown size
_SHARE = 10  # one row in this many is drawn
_COLUMN = 34  # column at which comments begin
_HEAP, _SMALLEST_HEAP = 8, 1  # GiB: the default heap, and the smallest one that is written
_MODELS = {
    "lsa": "learns from the words of the pool itself; nothing to download",
    "pixels": "compares small copies of the images; nothing to download",
    "precomputed": "takes the vectors as they are",
}


def config_text(found: Found, choice: Choice, *, root: str, path: str) -> str:
    """Return the config as YAML with comments.

    Parameters
    ----------
    root : root folder of the tables
    path : path of the config, quoted in the command that reads it
    """
    lines = [
        f"# For {_one_line(found.table)}: {found.shown}. Curate it:",
        f"#   evenlake curate --config {shlex.quote(path)}",
        "# Every other key, with its meaning and default:",
        "#   evenlake init --example base --config base.yaml",
        "",
        "input:",
        _line("table", found.table, found.wanted),
        *([_line("options", dict(found.options), "of the reader")] if found.options else []),
        *_columns(choice),
        "",
        "output:",
        _line("root", root, "every table is a folder in it; one root per pool"),
        "",
        "embed:",
        _line("model", choice.model, _MODELS[choice.model]),
        "",
        *_samples(found.n_rows),
        *_report(choice),
        *_spark(),
    ]
    return "\n".join(lines) + "\n"


def _columns(choice: Choice) -> list[str]:
    comments = {
        "id": "names every row",
        "content": "what is embedded",
        "embedding": "what is curated",
        "metadata": "kept beside every point",
    }
    lines = []
    for key, comment in comments.items():
        value: Any = getattr(choice, key)
        if value is None:
            continue
        if others := choice.others.get(key):
            comment += f"; or {', '.join(others[:3])}"
        value = list(value) if key == "metadata" else value
        lines.append(_line(key, value, choice.notes.get(key, comment)))
    return lines


def _samples(n_rows: int | None) -> list[str]:
    size = _round((_ASSUMED_ROWS if n_rows is None else n_rows) // _SHARE)
    first = f"  - {{name: balanced, target_size: {size}}}"
    if size < 10 * _SHARE:
        return ["samples:", first]
    second = f"  - {{name: balanced_small, target_size: {size // 10}}}"
    return ["samples:", first, f"{second}  # part of the first"]


def _round(n: int) -> int:
    """Round down to 1, 2 or 5 times a power of ten; at least 2."""
    power: int = 10 ** (len(str(n)) - 1)
    return max([2, *(k * power for k in (1, 2, 5) if k * power <= n)])


def _report(choice: Choice) -> list[str]:
    if choice.label is None:
        return []
    comment = "its balance is reported; never used to curate"
    return ["", "report:", _line("label", choice.label, comment)]


def _spark() -> list[str]:
    """Return a heap for a machine on which the default would leave no room for Python."""
    host = host_bytes()
    heap = _HEAP if host is None else int(host / 2**31)
    if heap >= _HEAP:
        return []
    value = f"{max(_SMALLEST_HEAP, heap)}g"
    return ["", "spark:", _line("driver_memory", value, "half of this machine's")]


def _line(key: str, value: Any, comment: str) -> str:
    """Return one key of a section, its comment in a column of its own."""
    shown = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    end = "...\n"  # PyYAML's end of a scalar
    line = f"  {key}: {shown.removesuffix(end).strip()}"
    if not comment:
        return line
    comment = f"# {_one_line(comment)}"
    return f"{line:<{_COLUMN}}{comment}" if len(line) < _COLUMN else f"  {comment}\n{line}"


def _one_line(text: str) -> str:
    """Return a text that ends no comment, whatever names of files and columns hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
