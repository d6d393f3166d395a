"""Pages that a command wrote, opened in the user's browser."""

import webbrowser
from pathlib import Path
from typing import Protocol, runtime_checkable

from jobs.config.errors import ConfigError


@runtime_checkable
class Paged(Protocol):
    """An outcome with a page: its path, or where else it is."""

    @property
    def report_path(self) -> str:
        """Return the page's path, or where else it is."""


def require_page(name: str, *, has_page: bool) -> None:
    """Refuse ``--open`` for a command that makes no page.

    Raises
    ------
    ConfigError
    """
    if not has_page:
        raise ConfigError(f"--open: evenlake {name} makes no page; want curate, report or diff")


def open_page(outcome: object) -> None:
    """Open an outcome's page, if it is a file on this machine."""
    if isinstance(outcome, Paged) and (page := Path(outcome.report_path)).is_file():
        webbrowser.open(page.resolve().as_uri())
