"""The installed Spark and Delta: whether Evenlake supports them, and whether they match."""

import re
from importlib import metadata

from jobs.environment.findings import Finding
from jobs.spark.host import is_submitted

SUPPORTED = {"pyspark": ">=4.0.1,<4.3", "delta-spark": ">=4.3,<5"}  # as in setup.cfg
TESTED = "pyspark==4.2.0 delta-spark==4.4.0"
_FIX = f"pip install {TESTED}"


def check_packages() -> Finding:
    """Compare the versions of pyspark and delta-spark with what works, and with each other."""
    found = {name: _version(name) for name in SUPPORTED}
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
    if is_submitted() and None in found.values():
        return Finding("packages", "ok", f"{versions}; the platform brings its own")
    for name, version in found.items():
        if version is None:
            return Finding("packages", "FAIL", versions, name, "pip install 'evenlake[local]'")
        if not satisfies(version, SUPPORTED[name]):
            return Finding("packages", "FAIL", versions, f"{name}{SUPPORTED[name]}", _FIX)
    pyspark = str(found["pyspark"])
    for wanted in _spark_of_delta():
        if not satisfies(pyspark, wanted):
            of_delta = f"pyspark{wanted}, which this delta-spark is built for"
            return Finding("packages", "FAIL", versions, of_delta, _FIX)
    return Finding("packages", "ok", versions)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _spark_of_delta() -> list[str]:
    """Return the pyspark versions that delta-spark's own wheel requires."""
    wanted = metadata.requires("delta-spark") or []
    found = [re.match(r"pyspark\s*\(?([<>=!~][^;)]*)", line) for line in wanted]
    return [match[1].strip() for match in found if match]


def satisfies(version: str, wanted: str) -> bool:
    """Return whether a version is within bounds such as ``>=4.0.1,<4.3``."""
    from packaging.specifiers import SpecifierSet  # like everything else, it may be missing

    return SpecifierSet(wanted).contains(version, prereleases=True)
