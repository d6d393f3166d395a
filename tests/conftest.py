"""One Spark session for each process of the suite, and the seed of every random input."""

import contextlib
import gc
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote
from threadpoolctl import threadpool_limits

from jobs.config.model import SparkConfig
from jobs.spark.session import start_local

# Drivers that tests start are short-lived: the JVM's second compiler would take half of two cores
# and give little. Its first has too small a cache of its own.
_SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
os.environ.setdefault("SPARK_SUBMIT_OPTS", _SHORT_LIVED)
# Delta would hold the state of all the thousands of tables that tests write for an hour.
_LONG_LIVED = "-Ddelta.log.cacheSize=64"

settings.register_profile("untimed", deadline=None)  # machines have other work, too
settings.load_profile("untimed")

SWEPT_SEEDS = range(42, 52)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Share one local session in each process; tests must leave it as they found it."""
    logging.getLogger("py4j").setLevel(logging.ERROR)
    config = SparkConfig(master="local[2]", driver_memory="3g", shuffle_partitions=2)
    with pytest.MonkeyPatch.context() as patch:
        if os.environ["SPARK_SUBMIT_OPTS"] == _SHORT_LIVED:  # this one lives: both compilers
            patch.setenv("SPARK_SUBMIT_OPTS", _LONG_LIVED)
        session = start_local(config, app_name="evenlake-tests")
    # every task would generate code for Delta's wide rows again, for a handful of rows
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield session
    session.stop()


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Let go of a module's frames: what Python still holds, Spark keeps with its plan."""
    yield
    gc.collect()
    with contextlib.suppress(Exception):  # a test may have ended the session
        if not is_remote() and (session := SparkSession.getActiveSession()) is not None:
            jvm: Any = session._jvm
            jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Multiply matrices as jobs do, on one thread: two would wait for each other."""
    with threadpool_limits(1):
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize tests by seed: 42, or ten seeds with SEEDS=all."""
    if "seed" in metafunc.fixturenames:
        seeds = SWEPT_SEEDS if os.environ.get("SEEDS") == "all" else [42]
        metafunc.parametrize("seed", list(seeds))
