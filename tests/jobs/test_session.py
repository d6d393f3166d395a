"""The local session's settings."""

import pytest

from jobs.lake.config import SparkConfig
from jobs.lake.session import local_settings


def test_a_collector_named_by_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def collectors() -> list[str]:
        options = local_settings(SparkConfig())["spark.driver.defaultJavaOptions"].split()
        return [option for option in options if option.endswith("GC")]

    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    assert collectors() == ["-XX:+UseParallelGC"]
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xss4m -XX:MaxGCPauseMillis=200")
    assert collectors() == ["-XX:+UseParallelGC"]
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xss4m -XX:+UseSerialGC")  # Java starts with but one
    assert collectors() == []
