"""Errors that Evenlake raises on purpose, each with the exit code that a command gives back."""

from jobs.config.secrets import without_secrets


class CurationError(Exception):
    """Something that the user can act on: the message says what was found, wanted, and the fix.

    Messages quote the config and Spark, so credentials are blanked out before anyone logs them.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class ConfigError(CurationError):
    """The config asks for something unknown, impossible or not built yet."""

    exit_code = 2


class InputError(CurationError):
    """The input cannot be read as the config describes it."""

    exit_code = 2


class InputChangedError(InputError):
    """The input is no longer what the run began with."""


class GuardError(CurationError):
    """A guard refused to go on, such as too many rejects."""

    exit_code = 3


class BusyError(CurationError):
    """Another process is at the same work, and this one was told not to wait."""


class LeaseLostError(CurationError):
    """The process stood still for so long that another took its work over."""


class StartLostError(CurationError):
    """Another process was quicker to start at the same work; the run takes its result."""
