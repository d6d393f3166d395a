"""The machine and the versions that a figure belongs to."""

import os
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import psutil
import pyspark
from threadpoolctl import threadpool_info

from jobs.spark.jars import delta_package

CORES = 2  # every rival gets this many, whatever the machine has
_PACKAGES = ("numpy", "pyspark", "faiss-cpu", "scikit-learn", "superkmeans", "pyarrow")


def n_cores() -> int:
    """Return the cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else CORES


def keep_to_cores() -> int:
    """Restrict this process and its children to CORES cores, if the platform can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    return n_cores()


def describe_machine() -> dict[str, str]:
    """Return CPU, cores, RAM and versions."""
    blas: dict[str, str] = next((b for b in threadpool_info() if b["user_api"] == "blas"), {})
    version = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["version"]
    return {
        "CPU": _cpu_model(),
        "cores": f"{n_cores()} of {psutil.cpu_count()}",
        "RAM": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "python": platform.python_version(),
        "BLAS of numpy": f"OpenBLAS {version}, kernel {blas.get('architecture', 'unknown')}",
        "Delta": delta_package(pyspark.__version__),
    } | {name: metadata.version(name) for name in _PACKAGES}


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
