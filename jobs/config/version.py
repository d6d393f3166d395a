"""The version of the code, as recorded in the ledger."""

from importlib import metadata


def code_version() -> str:
    """Return the installed distribution's version, or a fallback if it is not installed."""
    try:
        return metadata.version("evenlake")
    except metadata.PackageNotFoundError:
        return "0.1.0"
