"""`evenlake doctor`: all well, then everything that can be broken, one at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import check_environment
from jobs.__main__ import main as evenlake
from jobs.config.model import as_dict
from jobs.environment import host, packages, sessions
from jobs.environment.findings import Finding, guarded
from jobs.environment.packages import SUPPORTED, check_packages, satisfies
from jobs.spark import class_data
from jobs.spark.host import host_bytes
from jobs.spark.java import find_java
from tests.jobs.tiny import SECRET, config_of, write_pool

REPOSITORY = Path(__file__).parents[2]
ALONE = ["code", "code", "python", "packages", "java", "blas", "memory"]
SPARK = ["session", "delta", "workers"]


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool, and the config beside it."""
    folder = tmp_path_factory.mktemp("doctor")
    write_pool(spark, folder / "pool", 5)
    plain = as_dict(config_of(folder, "spark.driver_memory=1g"))
    (folder / "my.yaml").write_text(yaml.safe_dump(plain))
    return folder


def lines(said: str) -> list[tuple[str, str, str]]:
    """Return (status, check, what was found) for every line."""
    parts = [line.split(maxsplit=1) for line in said.splitlines()]
    return [(status, *rest.partition(": ")[::2]) for status, rest in parts]


def make_java(home: Path, version: str) -> Path:
    """Write a bin/java that answers like this version, and return its home."""
    java = home / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '    java.specification.version = {version}' >&2\n")
    java.chmod(0o755)
    return home


def failures(said: str) -> dict[str, str]:
    return {check: found for status, check, found in lines(said) if status == "FAIL"}


# --- all well, and what a config adds -------------------------------------------------------------


def test_a_sound_machine_and_config_have_no_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evenlake(["doctor", "--config", f"{folder}/my.yaml"]) == 0
    found = {check: (status, said) for status, check, said in lines(capsys.readouterr().out)}
    assert list(found) == list(
        dict.fromkeys([*ALONE[:-1], "config", "memory", "output", *SPARK, "input"])
    )
    assert {status for status, _ in found.values()} <= {"ok", "warning"}
    python = ".".join(map(str, sys.version_info[:3]))
    assert found["workers"][1].startswith(f"Python {python}, numpy ")
    assert found["workers"][1].endswith(f"udfs at {REPOSITORY}/udfs")
    assert found["delta"][1].endswith(": a table was written and read")
    assert found["input"][1].endswith(": id is string, input.embedding is array<double>")
    assert not (folder / "lake").exists()


def test_each_thing_wrong_with_a_config_is_a_failure(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")  # so that no session is started
    arguments = ["--config", f"{folder}/my.yaml", "sead=1", "cluster.max_iter=0"]
    assert check_environment.main(arguments) == 1
    found = [said for _, check, said in lines(capsys.readouterr().out) if check == "config"]
    assert sorted(found) == [
        "cluster.max_iter=0: want at least 1",
        "sead: unknown key; did you mean seed?",
    ]


def test_an_input_that_cannot_be_opened_is_a_failure_without_its_password(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = f"input.table=s3://me:{SECRET}@bucket/pool"
    assert check_environment.main(["--config", f"{folder}/my.yaml", table]) == 1
    said = capsys.readouterr().out
    assert list(failures(said)) == ["input"]
    assert "'s3://***@bucket/pool' cannot be read" in said
    assert SECRET not in said


# --- what is broken -------------------------------------------------------------------------------


@pytest.mark.parametrize("home", ["/nowhere", None])
def test_without_java_what_needs_spark_is_skipped(
    home: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if home is None:
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", "/nowhere")
    else:  # Spark then ignores PATH
        monkeypatch.setenv("JAVA_HOME", home)
    assert evenlake(["doctor"]) == 1
    said = capsys.readouterr().out
    assert list(failures(said)) == ["java"]
    what = (
        "no java on PATH, no JAVA_HOME" if home is None else "JAVA_HOME=/nowhere holds no bin/java"
    )
    assert failures(said)["java"].startswith(f"{what}; want Java 17, 21 or 25; apt-get install")
    assert [check for _, check, _ in lines(said)] == [*ALONE, *SPARK]
    assert lines(said)[-1] == (
        "skipped",
        "workers",
        "needs a Java that Spark runs on, see java above",
    )


@pytest.mark.parametrize(
    ("version", "status"), [("1.8", "FAIL"), ("17", "ok"), ("25", "ok"), ("26", "FAIL")]
)
def test_a_java_is_asked_for_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, status: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path, version)))
    monkeypatch.setattr(host, "sharing_options", lambda: ["an option"])
    found = host.check_java()
    assert found.status == status
    assert found.found == f"{tmp_path}/bin/java is Java {version.removeprefix('1.')}"


def test_a_fit_java_without_kept_classes_is_told_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_data, "_FOLDER", tmp_path)
    assert host.check_java().found.endswith("once: python -m jobs.spark.session --keep-classes")
    (tmp_path / "spark-1.jsa").write_bytes(b"1")
    assert "--keep-classes" not in host.check_java().found


@pytest.mark.parametrize(
    ("pyspark", "status", "found"),
    [
        ("4.2.0", "ok", "pyspark 4.2.0, with io.delta:delta-spark_4.2_2.13:4.4.0"),
        ("4.0.1", "ok", "pyspark 4.0.1, with io.delta:delta-spark_4.0_2.13:4.4.0"),
        ("3.5.3", "FAIL", "pyspark 3.5.3"),
        (None, "FAIL", "no pyspark installed"),
    ],
)
def test_a_spark_is_supported_with_the_delta_that_is_built_for_it(
    monkeypatch: pytest.MonkeyPatch, pyspark: str | None, status: str, found: str
) -> None:
    monkeypatch.setattr(packages, "version_of", {"pyspark": pyspark}.get)
    finding = check_packages()
    assert (finding.status, finding.found) == (status, found)
    assert finding.wanted == ("pyspark>=4.0.1,<4.3" if status == "FAIL" else "")


@pytest.mark.parametrize(("spark", "java", "is_fit"), [("4.1.4", 21, True), ("4.1.4", 25, False)])
def test_which_javas_fit_depends_on_the_spark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: str, java: int, is_fit: bool
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path, str(java))))
    assert find_java(spark).is_fit is is_fit


def test_supported_versions_are_those_of_setup_cfg() -> None:
    setup = (REPOSITORY / "setup.cfg").read_text().splitlines()
    assert f"    pyspark{SUPPORTED}" in setup


@pytest.mark.parametrize(
    ("version", "wanted", "is_within"),
    [
        ("4.0.1", ">=4.0.1,<4.3", True),
        ("4.3", ">=4.0.1,<4.3", False),
        ("4.10.0", ">=4.3,<5", True),
        ("4.2.0.dev1", "<=4.2.0, >=4.0.1", True),
        ("4.2", "==4.2.0", True),
    ],
)
def test_versions_are_compared_number_by_number(version: str, wanted: str, is_within: bool) -> None:
    assert satisfies(version, wanted) is is_within


def test_a_root_that_cannot_be_written_to_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    found = host.check_output(f"{tmp_path}/file/lake")
    assert found.status == "FAIL"
    assert found.found.endswith(f"cannot write in {tmp_path}/file: Not a directory")
    assert host.check_output(f"file:{tmp_path}/not/yet").status in ("ok", "warning")
    assert host.check_output("s3://bucket/lake").status == "skipped"
    assert host.check_output(None).status == "skipped"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_heap_beyond_the_host_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "host_bytes", lambda: 8.0 * host.GIB)
    assert [host.check_memory(heap).status for heap in ("6g", "7g", "9g")] == [
        "ok",
        "warning",
        "FAIL",
    ]
    assert host.check_memory("9g").fix == "set spark.driver_memory=6g"


def test_a_containers_limit_is_the_hosts_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "limit").write_text("1000000\n")
    monkeypatch.setattr("jobs.spark.host._LIMITS", (f"{tmp_path}/max", f"{tmp_path}/none"))
    assert (host_bytes() or 0) > 1e6
    monkeypatch.setattr("jobs.spark.host._LIMITS", (f"{tmp_path}/limit",))
    assert host_bytes() == 1e6


def test_a_check_that_raises_is_a_failure_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, spark: SparkSession
) -> None:
    def fail(*_: object) -> Finding:
        raise RuntimeError("out of order\nsecond line")

    monkeypatch.setattr(host, "check_blas", fail)
    monkeypatch.setattr(sessions, "check_delta", fail)
    assert check_environment.main([]) == 1
    said = capsys.readouterr().out
    assert failures(said) == dict.fromkeys(("blas", "delta"), "RuntimeError: out of order")
    assert lines(said)[-1][:2] == ("ok", "workers")


def test_a_workers_error_is_told_by_its_last_line() -> None:
    def fail() -> Finding:
        raise RuntimeError(
            "An exception was thrown from the Python worker:\nTraceback (most recent call last):\n"
            "  File \"worker.py\", line 1\nModuleNotFoundError: No module named 'udfs'\n"
        )

    assert guarded("workers", fail).found == (
        "RuntimeError: ModuleNotFoundError: No module named 'udfs'"
    )


# --- in its own process ---------------------------------------------------------------------------


def doctor(*command: str, path: list[Path], cwd: Path) -> tuple[int, str]:
    """Run a command with only these folders on PYTHONPATH, and no Java anywhere."""
    environment = {name: value for name, value in os.environ.items() if name != "PATH"}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, path)), "JAVA_HOME": "/nowhere"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=cwd, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    for package in ("jobs", "udfs"):
        (tmp_path / "foreign" / package).mkdir(parents=True)
        (tmp_path / "foreign" / package / "__init__.py").write_text("raise SystemExit('not ours')")
    return tmp_path / "foreign"


@pytest.mark.parametrize(
    "command",
    [
        [str(REPOSITORY / "jobs" / "check_environment.py")],
        ["-c", "import sys, evenlake; sys.exit(evenlake.main())", "curate"],
    ],
)
def test_a_foreign_package_first_on_the_path_is_named(
    foreign: Path, tmp_path: Path, command: list[str]
) -> None:
    status, said = doctor(*command, path=[foreign, REPOSITORY], cwd=tmp_path)
    assert status == 1
    first, second, last = said.splitlines()
    fix = f"put {REPOSITORY} first on PYTHONPATH, or take {foreign} off it"
    for name, line in (("jobs", first), ("udfs", second)):
        wanted = f"want {REPOSITORY}/{name}; {fix}"
        assert line == f"FAIL     code: {name} is another package, {foreign}/{name}; {wanted}"
    assert last.startswith("skipped  everything else")


def test_a_foreign_module_and_another_copy_are_told_apart(foreign: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (copy / "udfs" / "kernels").mkdir(parents=True)
    (copy / "udfs" / "__init__.py").touch()
    (copy / "udfs" / "kernels" / "__init__.py").touch()
    (copy / "jobs.py").touch()
    script = str(REPOSITORY / "jobs" / "check_environment.py")
    status, said = doctor(script, path=[copy, REPOSITORY], cwd=tmp_path)
    assert status == 1
    assert [line.split()[0] for line in said.splitlines()] == ["FAIL", "warning", "skipped"]
    assert f"jobs is another package, {copy}/jobs.py" in said
    assert f"udfs is another copy of Evenlake, {copy}/udfs" in said


def test_where_nothing_is_installed_every_check_still_answers(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("seed: 0\n")
    arguments = ["-S", "-m", "jobs.check_environment", "--config", f"{tmp_path}/my.yaml"]
    status, said = doctor(*arguments, path=[REPOSITORY], cwd=tmp_path)
    assert status == 1
    assert list(failures(said)) == ["packages", "java", "blas", "config", "memory"]
    assert failures(said)["config"].startswith("ModuleNotFoundError: No module named '")
    assert [check for status, check, _ in lines(said) if status == "skipped"] == SPARK
