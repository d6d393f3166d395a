"""What Spark's settings say about an executor: its Python workers and the memory they share."""

from collections.abc import Callable

from jobs.spark.host import size_bytes

Setting = Callable[[str, str], str]  # (key, default) -> value


def size_of(setting: Setting, key: str, default: str = "") -> float:
    """Return a setting in bytes; a bare number means MiB, and no value means 0."""
    return size_bytes(setting(key, default), "m")


def n_workers(setting: Setting) -> int:
    """Return the number of Python workers per executor: one for each task it runs at once."""
    return max(1, _cores(setting) // int(setting("spark.task.cpus", "1")))


def own_limit(setting: Setting) -> float | None:
    """Return the memory limit in bytes that Spark itself sets per worker; None if it sets none."""
    return size_of(setting, "spark.executor.pyspark.memory") / _cores(setting) or None


def overhead(setting: Setting) -> float | None:
    """Return the bytes of an executor's container beyond its heap; None if there is no limit.

    If Spark itself limits the workers, their memory comes on top and does not count here.
    """
    in_container = setting("spark.master", "").startswith(("yarn", "k8s"))
    if not in_container or own_limit(setting):
        return None
    if given := size_of(setting, "spark.executor.memoryOverhead"):
        return given
    usual = setting("spark.kubernetes.memoryOverheadFactor", "0.1")
    factor = float(setting("spark.executor.memoryOverheadFactor", usual))
    least = size_of(setting, "spark.executor.minMemoryOverhead", "384m")
    return max(least, factor * size_of(setting, "spark.executor.memory", "1g"))


def _cores(setting: Setting) -> int:
    return int(setting("spark.executor.cores", "1"))
