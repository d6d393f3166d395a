"""The example configs: the project's folder conf/, which an installed package carries along."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

from jobs.config.errors import ConfigError

PLACE = files("jobs") / "conf"  # a link to conf/ in the project's own folder


def examples() -> list[str]:
    """Return the names of the examples."""
    return [name.removesuffix(".yaml") for name in _named()]


def example(name: str) -> str:
    """Return the text of an example.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    found = _named().get(f"{name.removesuffix('.yaml')}.yaml")
    if found is None:
        raise ConfigError(f"no example {name!r}; want one of {', '.join(examples())}")
    return found.read_text(encoding="utf-8")


def modules_of(name: str) -> dict[str, str]:
    """Return the Python modules that an example names beside itself, by file name."""
    text, folder = example(name), PLACE / "examples"
    files_ = {found: folder / found for found in re.findall(r"\b\w+\.py\b", text)}
    return {found: f.read_text(encoding="utf-8") for found, f in files_.items() if f.is_file()}


def _named() -> dict[str, Traversable]:
    folders = [PLACE, PLACE / "examples"]
    entries = [
        entry
        for folder in folders
        if folder.is_dir()
        for entry in sorted(folder.iterdir(), key=lambda e: e.name)
    ]
    return {entry.name: entry for entry in entries if entry.name.endswith(".yaml")}
