"""The version of the code, as the ledger keeps it."""

from importlib import metadata


def code_version() -> str:
    """Return the installed distribution's version, or say that there is none."""
    try:
        return metadata.version("evenlake")
    except metadata.PackageNotFoundError:
        return "0.1.0"
