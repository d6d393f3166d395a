"""Errors that Evenlake raises on purpose, each with the exit code that a command returns."""

from jobs.config.secrets import without_secrets


class CurationError(Exception):
    """Something the user can act on: the message says what was found, what is wanted, and the fix.

    Messages quote the config and Spark, so credentials are blanked out before anyone logs them.

    Attributes
    ----------
    is_to_clean : whether rows that the failed stage wrote may differ from those of a repeat, which
        must not take them for its own
    """

    exit_code = 1
    is_to_clean = False

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class ConfigError(CurationError):
    """The config asks for something unknown, impossible or not built yet."""

    exit_code = 2


class TooFewRowsError(ConfigError):
    """A sample's constraints demand more rows than it is to have."""


class InputError(CurationError):
    """The input cannot be read as the config describes it."""

    exit_code = 2


class InputChangedError(InputError):
    """The input has changed since the run began."""

    is_to_clean = True


class GuardError(CurationError):
    """A guard stopped the run, for example because of too many rejects."""

    exit_code = 3
    is_to_clean = True


class BusyError(CurationError):
    """Another process is doing the same work, and this one was told not to wait."""


class LeaseLostError(CurationError):
    """The process stalled for so long that another took its work over."""


class StartLostError(CurationError):
    """Another process started the same work first; the run takes its result."""
