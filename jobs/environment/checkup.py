"""All checks in order; one that cannot be made says why."""

import importlib.util
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jobs.config.errors import ConfigError
from jobs.environment import host
from jobs.environment.findings import Finding, cause_of, guarded
from jobs.environment.packages import check_packages

if TYPE_CHECKING:  # may not be importable at run time
    from jobs.config.model import RunConfig


def check_up(path: str | None, overrides: Sequence[str] = ()) -> Iterator[Finding]:
    """Check everything, one finding at a time.

    Parameters
    ----------
    path : path of a config; None checks only the environment
    """
    yield guarded("python", host.check_python)
    yield guarded("packages", check_packages)
    java = guarded("java", host.check_java)
    yield java
    yield guarded("blas", host.check_blas)
    config, findings = _config(path, overrides)
    yield from findings
    yield guarded("memory", lambda: host.check_memory(_driver_memory(config)))
    if config is not None:
        root = config.output.root
        yield guarded("output", lambda: host.check_output(root))
    missing = _missing(java)
    if missing is None:
        yield from _session(config)
    else:
        names = ("session", "delta", "workers", *(["input"] if config is not None else []))
        yield from (Finding(name, "skipped", missing) for name in names)


def _config(path: str | None, overrides: Sequence[str]) -> tuple["RunConfig | None", list[Finding]]:
    """Load the config; each error in it is a failure."""
    if path is None:
        return None, []
    try:
        from jobs.config.loading import load_config

        return load_config(path, overrides), [Finding("config", "ok", path)]
    except ConfigError as error:
        return None, [Finding("config", "FAIL", line) for line in str(error).splitlines()]
    except Exception as error:
        return None, [Finding("config", "FAIL", cause_of(error))]


def _driver_memory(config: "RunConfig | None") -> str:
    from jobs.config.model import SparkConfig

    return (config.spark if config is not None else SparkConfig()).driver_memory


def _missing(java: Finding) -> str | None:
    """Return what a session needs to start and lacks; None if nothing."""
    if java.is_failure:
        return "needs a Java that Spark runs on, see java above"
    if importlib.util.find_spec("pyspark") is None:
        return "needs pyspark, see packages above"
    return None


def _session(config: "RunConfig | None") -> Iterator[Finding]:
    """Run the checks that need a session; stop it if it was started here."""
    names = ["delta", "workers"] + (["input"] if config is not None else [])
    try:
        from jobs.config.model import SparkConfig
        from jobs.environment import sessions
        from jobs.spark.session import get_session

        settings = config.spark if config is not None else SparkConfig()
        spark, is_ours = get_session(settings, app_name="evenlake-doctor")
    except Exception as error:
        yield Finding("session", "FAIL", cause_of(error))
        yield from (Finding(name, "skipped", "needs a session") for name in names)
        return
    try:
        yield guarded("session", lambda: sessions.check_session(spark))
        yield guarded("delta", lambda: sessions.check_delta(spark))
        yield guarded("workers", lambda: sessions.check_workers(spark))
        if config is not None:
            loaded = config
            yield guarded("input", lambda: sessions.check_input(spark, loaded))
    finally:
        if is_ours:
            spark.stop()
