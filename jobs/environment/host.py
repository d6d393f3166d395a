"""The host: Python, Java, memory, BLAS, and the disk for the tables."""

import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlparse

from jobs.environment.findings import Finding
from jobs.environment.packages import version_of
from jobs.spark.class_data import KEEP_CLASSES, sharing_options
from jobs.spark.host import host_bytes, is_submitted, n_threads, size_bytes
from jobs.spark.java import FIX, find_java
from jobs.spark.naming import path_of, without_parents

PYTHONS = ((3, 11), (3, 12))
GIB = 2**30
_HEAP_SHARE = 0.75  # of the host's memory; the Python driver and the workers need the rest
_DISK_LEAST, _DISK_EASY = 0.1 * GIB, 5 * GIB  # free space: below these, too little or tight
_FALLBACK_KERNELS = ("prescott", "generic", "core2")  # OpenBLAS's, for a CPU it does not know


def check_python() -> Finding:
    """Compare this Python with the versions that Evenlake runs on."""
    found = ".".join(map(str, sys.version_info[:3])) + f" at {sys.executable}"
    if sys.version_info[:2] in PYTHONS:
        return Finding("python", "ok", found)
    fix = "make a virtual environment with one of them"
    return Finding("python", "FAIL", found, "Python 3.11 or 3.12", fix)


def check_java() -> Finding:
    """Check the Java that Spark would start, as the start of a session does."""
    java = find_java(version_of("pyspark"))
    if java.version is None and is_submitted():
        return Finding("java", "ok", "none here; the session is the platform's")
    if java.is_fit:
        advice = "" if sharing_options() else f"; for faster starts, once: {KEEP_CLASSES}"
        return Finding("java", "ok", java.found + advice)
    return Finding("java", "FAIL", java.found, java.wanted, FIX)


def check_memory(driver_memory: str) -> Finding:
    """Compare the host's memory with the heap of the session that Evenlake would start."""
    host, heap = host_bytes(), size_bytes(driver_memory)
    if is_submitted():
        return Finding("memory", "ok", "the session's heap is the platform's")
    if host is None:
        return Finding("memory", "warning", "unknown on this host", f"above {driver_memory}")
    found = f"{host / GIB:.1f} GiB, spark.driver_memory={driver_memory}"
    if heap <= _HEAP_SHARE * host:
        return Finding("memory", "ok", found)
    wanted = f"at most {_HEAP_SHARE:.0%} of the host, as Python needs room beside the heap"
    fix = f"set spark.driver_memory={max(1, int(_HEAP_SHARE * host / GIB))}g"
    return Finding("memory", "warning" if heap <= host else "FAIL", found, wanted, fix)


def check_blas() -> Finding:
    """Report which BLAS NumPy uses, and with how many threads."""
    import numpy as np
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not pools:
        wanted = "OpenBLAS or MKL, as in NumPy's wheels"
        fix = "pip install --force-reinstall numpy"
        return Finding("blas", "warning", f"none beside numpy {np.__version__}", wanted, fix)
    blas = pools[0]
    kernel, threads = str(blas.get("architecture", "unknown")), blas["num_threads"]
    found = f"{blas['internal_api']} {blas['version']} for {kernel}, {threads} of {n_threads()}"
    found += f" threads, numpy {np.__version__}"
    if kernel.lower() in _FALLBACK_KERNELS:
        fix = "try OPENBLAS_CORETYPE=Haswell or SkylakeX and measure"
        return Finding("blas", "warning", found, "a kernel of this CPU's own", fix)
    if threads > n_threads():
        fix = f"set OPENBLAS_NUM_THREADS={n_threads()}"
        return Finding("blas", "warning", found, "no more threads than cores", fix)
    return Finding("blas", "ok", found)


def check_output(root: str | None) -> Finding:
    """Check whether a local root can be written to, and how much is free there."""
    uri = urlparse(root or "")
    if root is None or uri.scheme not in ("", "file"):
        place = "a schema of a catalog" if root is None else f"output.root={root}"
        return Finding("output", "skipped", f"{place} is not on this host's disks")
    folder = Path(path_of(without_parents(root))).absolute()
    while not folder.exists():
        folder = folder.parent
    named = f"output.root={root}"
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        found = f"{named}: cannot write in {folder}: {error.strerror}"
        return Finding("output", "FAIL", found, "a folder that you may write to", "choose another")
    free = shutil.disk_usage(folder).free
    found = f"{named} is writable, {free / GIB:.1f} GiB free"
    if free >= _DISK_EASY:
        return Finding("output", "ok", found)
    wanted = f"{_DISK_EASY / GIB:.0f} GiB, unless the pool is small"
    fix = "free some, or choose another output.root"
    return Finding("output", "warning" if free >= _DISK_LEAST else "FAIL", found, wanted, fix)
