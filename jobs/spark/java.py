"""The Java that Spark would start: where it is, its version, and whether Spark runs on it."""

import os
import re
import shutil
import subprocess  # nosec B404 # for the Java that Spark would start itself
from dataclasses import dataclass
from pathlib import Path

from jobs.config.errors import CurationError
from jobs.spark.jars import series_of

# The long-supported Javas that each series of Spark runs on, as `tests/install/matrix.py` found.
JAVAS_OF = {"4.0": (17, 21), "4.1": (17, 21), "4.2": (17, 21, 25)}
FIX = (
    "apt-get install openjdk-17-jre-headless, dnf install java-21-openjdk-headless, or "
    "brew install openjdk@21; then set JAVA_HOME"
)


@dataclass(frozen=True)
class Java:
    """What was found.

    Attributes
    ----------
    found : what was found, in words
    wanted : the Javas that will do, in words
    version : None if there is no Java, or it does not say
    is_fit : whether Spark runs on it
    """

    found: str
    wanted: str
    version: int | None = None
    is_fit: bool = False


def find_java(spark_version: str | None) -> Java:
    """Find the Java that Spark would start: JAVA_HOME's if that is set, else PATH's.

    Parameters
    ----------
    spark_version : version of the Spark that is to run on it; None if none is installed
    """
    fit = JAVAS_OF.get(series_of(spark_version or ""), JAVAS_OF["4.2"])
    *others, last = map(str, fit)
    wanted = f"Java {', '.join(others)} or {last}"
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        found = f"JAVA_HOME={home} holds no bin/java" if home else "no java on PATH, no JAVA_HOME"
        return Java(found, wanted)
    version = java_version(java)
    found = f"{java} is Java {version or 'of an unknown version'}"
    return Java(found, wanted, version, version is not None and fit[0] <= version <= fit[-1])


def java_version(java: str) -> int | None:
    """Ask a java for its version; None if it does not say."""
    asked = [java, "-XshowSettings:properties", "-version"]
    try:
        shown = subprocess.run(  # nosec B603 # without a shell
            asked, capture_output=True, text=True, timeout=60
        )
    except OSError:  # the file is not a program
        return None
    found = re.search(r"java\.specification\.version = (?:1\.)?(\d+)", shown.stderr + shown.stdout)
    return int(found[1]) if found else None


def missing_module(said: str) -> CurationError | None:
    """Return the error that names a module that Java lacks, as trimmed ones do; None if none."""
    found = re.search(r"FindException: Module (\S+) not found", said)
    if found is None:
        return None
    return CurationError(
        f"this Java lacks {found[1]}, a module that Spark asks for; want a whole Java: {FIX}"
    )
