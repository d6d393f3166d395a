"""The local session: its settings, its locale, its jars."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.config.errors import CurationError
from jobs.config.model import SparkConfig
from jobs.spark.jars import delta_package, missing_jars
from jobs.spark.java import missing_module
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


NAMES = ("plain.txt", "über/Größe.txt", "日本/語.txt", "мир.txt", "e\u0301.txt")
LISTING = """
import sys
from jobs.config.model import InputConfig, SparkConfig
from jobs.pool.inputs import open_pool
from jobs.spark.session import start_local
spark = start_local(SparkConfig(master="local[1]", driver_memory="1g"))
rows = open_pool(spark, InputConfig(table=sys.argv[1])).rows
print(ascii(sorted(row.value for row in rows.select("value").collect())))
"""


def test_file_names_may_be_any_where_the_locale_knows_only_ascii(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, "utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        [sys.executable, "-c", LISTING, tmp_path], env=environment | {"LC_ALL": "C"},
        cwd=Path(__file__).parents[2], capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == ascii(sorted(NAMES)) + "\n", done.stderr[-2000:]


# What Ivy says: of a package that no repository has, and of a jar that a repository lacks.
IVY = """
java.lang.RuntimeException: [unresolved dependency: io.delta#delta-spark_4.2_2.13;9.9.9: not found]
java.lang.RuntimeException: [download failed: io.delta#delta-storage;4.4.0!delta-storage.jar]
"""


def test_jars_that_cannot_be_had_are_named() -> None:
    assert str(missing_jars(IVY)) == (
        "Spark did not start, as it could not fetch io.delta:delta-spark_4.2_2.13:9.9.9, "
        "io.delta:delta-storage:4.4.0; let this machine reach Maven Central, or a mirror named in "
        "spark.jars.ivySettings, once, or copy ~/.ivy2.5.2 from one that has them"
    )
    assert missing_jars("java.net.BindException: address in use") is None


def test_a_spark_without_a_delta_build_is_refused() -> None:
    assert delta_package("4.1.4") == "io.delta:delta-spark_4.1_2.13:4.4.0"
    with pytest.raises(CurationError, match="pyspark 4.3.0: no Delta build is known for it; want"):
        delta_package("4.3.0")


def test_a_trimmed_java_is_named() -> None:
    said = "java.lang.module.FindException: Module jdk.incubator.vector not found"
    assert str(missing_module(said)).startswith("this Java lacks jdk.incubator.vector, a module")
    assert missing_module("") is None
