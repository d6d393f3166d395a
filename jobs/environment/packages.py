"""The installed Spark: whether Evenlake supports it, and with which Delta."""

from importlib import metadata

from jobs.environment.findings import Finding
from jobs.spark.host import is_submitted
from jobs.spark.jars import delta_package

SUPPORTED = ">=4.0.1,<4.3"  # versions of pyspark, as in setup.cfg
_FIX = "pip install 'evenlake[local]'"


def check_packages() -> Finding:
    """Compare the version of pyspark with those that work, and name the Delta that goes with it."""
    version = version_of("pyspark")
    if version is None:
        if is_submitted():
            return Finding("packages", "ok", "no pyspark installed; the platform brings its own")
        return Finding("packages", "FAIL", "no pyspark installed", f"pyspark{SUPPORTED}", _FIX)
    found = f"pyspark {version}"
    if not satisfies(version, SUPPORTED):
        return Finding("packages", "FAIL", found, f"pyspark{SUPPORTED}", _FIX)
    return Finding("packages", "ok", f"{found}, with {delta_package(version)}")


def version_of(name: str) -> str | None:
    """Return the version of an installed distribution; None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def satisfies(version: str, wanted: str) -> bool:
    """Return whether a version is within bounds such as ``>=4.0.1,<4.3``."""
    from packaging.specifiers import SpecifierSet  # like everything else, it may be missing

    return SpecifierSet(wanted).contains(version, prereleases=True)
