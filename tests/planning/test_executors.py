"""An executor's memory, by Spark's settings."""

import pytest

from jobs.planning.executors import Setting, n_workers, overhead, own_limit
from jobs.planning.machine import GIB

MIB = 2**20


def setting(**said: str) -> Setting:
    settings = {f"spark.{name.replace('_', '.')}": value for name, value in said.items()}
    return lambda key, default: settings.get(key, default)


SAID = {  # -> MiB besides the heap
    "the least": (setting(master="yarn"), 384),
    "a least of one's own": (setting(master="yarn", executor_minMemoryOverhead="1g"), 1024),
    "a tenth": (setting(master="yarn", executor_memory="10g"), 1024),
    "a given share": (
        setting(master="yarn", executor_memory="10g", executor_memoryOverheadFactor="0.5"),
        5120,
    ),
    "a share for Python": (
        setting(master="k8s://a:443", executor_memory="10g", kubernetes_memoryOverheadFactor="0.4"),
        4096,
    ),
    "a given size": (
        setting(master="yarn", executor_memory="10g", executor_memoryOverhead="3000"),
        3000,
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_a_container_has_what_spark_asks_for_beside_its_heap(case: str) -> None:
    said, expected = SAID[case]
    assert overhead(said) == expected * MIB


@pytest.mark.parametrize("master", ["local[4]", "spark://a:7077", ""])
def test_workers_without_a_container_share_none(master: str) -> None:
    assert overhead(setting(master=master, executor_memory="10g")) is None


def test_spark_limits_workers_by_cores_and_beside_the_overhead() -> None:
    said = setting(master="yarn", executor_cores="4", executor_pyspark_memory="6g")
    assert own_limit(said) == 1.5 * GIB
    assert overhead(said) is None
    assert own_limit(setting(master="yarn")) is None


@pytest.mark.parametrize(
    ("cores", "cpus", "expected"), [("8", "1", 8), ("8", "3", 2), ("1", "2", 1)]
)
def test_an_executor_has_a_worker_for_each_task(cores: str, cpus: str, expected: int) -> None:
    assert n_workers(setting(executor_cores=cores, task_cpus=cpus)) == expected
