"""What the host offers, found without Spark: memory, cores, a session already set up."""

import os
import re
from pathlib import Path

_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "": 1}
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def is_submitted() -> bool:
    """Return whether spark-submit or a platform has set the session up for us."""
    return any(
        name in os.environ
        for name in ("DATABRICKS_RUNTIME_VERSION", "SPARK_REMOTE", "PYSPARK_GATEWAY_PORT")
    )


def n_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host_bytes() -> float | None:
    """Return the host's memory, or the container's limit if that is lower."""
    try:
        physical = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows lacks it
        return None
    return min([physical, *_limits()])


def _limits() -> list[float]:
    """Return the readable memory limits of this process's control group."""
    limits = []
    for path in _LIMITS:
        try:
            limits.append(float(Path(path).read_text()))
        except (OSError, ValueError):  # another kind of control group; "max" means no limit
            continue
    return limits


def size_bytes(size: str, unit: str = "") -> float:
    """Parse a size as Spark writes it, such as 4g or 512m; 0 if it is not one."""
    found = re.fullmatch(r"(\d+)([kmgt]?)b?", size.strip().lower())
    return float(found[1]) * _UNITS[found[2] or unit] if found else 0.0
