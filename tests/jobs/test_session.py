"""The local session's settings."""

from pathlib import Path

import pytest

from jobs.config.model import SparkConfig
from jobs.spark.session import local_settings


def test_a_collector_that_the_user_names_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def collectors() -> list[str]:
        options = local_settings(SparkConfig())["spark.driver.defaultJavaOptions"].split()
        return [option for option in options if option.endswith("GC")]

    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "PYSPARK_SUBMIT_ARGS"):
        monkeypatch.delenv(name, raising=False)
    assert collectors() == ["-XX:+UseParallelGC"]
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xss4m -XX:MaxGCPauseMillis=200")
    assert collectors() == ["-XX:+UseParallelGC"]
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xss4m -XX:+UseSerialGC")  # Java starts with only one
    assert collectors() == []
    monkeypatch.delenv("JDK_JAVA_OPTIONS")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert collectors() == ["-XX:+UseParallelGC"]
    defaults = tmp_path / "spark-defaults.conf"
    defaults.write_bytes(b"# -XX:+UseG1GC \xff\nspark.executor.extraJavaOptions -XX:+UseG1GC\n")
    assert collectors() == ["-XX:+UseParallelGC"]  # nothing in it applies to the driver
    defaults.write_text("# none\n spark.driver.extraJavaOptions=-Xss4m -XX:+UseG1GC\n")
    assert collectors() == []
