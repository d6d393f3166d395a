"""Evenlake's own code for the workers: packed once per process, sent once per session."""

import hashlib
import io
import logging
import zipfile
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pyspark.sql import SparkSession

from jobs.spark.classic import is_on_one_machine
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.spark.settings import setting
from jobs.spark.shipping import kept_folder, ship_code

log = logging.getLogger(__name__)

PACKAGE = "udfs"  # everything that workers import
WORKERS_PATH = "spark.executorEnv.PYTHONPATH"


def ship_own_code(spark: SparkSession) -> None:
    """Put the workers' part of Evenlake on their path, unless a local session of ours has it there.

    Sending it where it is installed already does no harm: it is the driver's own version.
    """
    if is_on_one_machine(spark) and setting(spark, WORKERS_PATH) == code_root():
        return
    try:
        ship_code(spark, packed())
    except SPARK_ERRORS as error:  # not every platform allows it, and some install it themselves
        log.warning("code not sent to the workers, which need %s: %s", PACKAGE, reason(error))


def code_root() -> str:
    """Return the folder, or the .zip, that Evenlake is imported from."""
    return str(Path(__file__).resolve().parents[2])


@cache
def packed() -> str:
    """Pack the code into a .zip, whose name depends on the content; return its path."""
    content = _zipped(sorted(_sources(resources.files(PACKAGE), PACKAGE)))
    path = kept_folder() / f"evenlake-{hashlib.sha256(content).hexdigest()[:16]}.zip"
    path.write_bytes(content)
    return str(path)


def _sources(folder: Traversable, name: str) -> list[tuple[str, bytes]]:
    """Return name and content of all modules below a folder, which may be inside a .zip itself."""
    found = []
    for entry in folder.iterdir():
        inside = f"{name}/{entry.name}"
        if entry.is_dir():
            found += _sources(entry, inside)
        elif entry.name.endswith(".py"):
            found.append((inside, entry.read_bytes()))
    return found


def _zipped(files: list[tuple[str, bytes]]) -> bytes:
    """Zip files; the same files give the same bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()
