"""Class-data sharing: a file that a real JVM wrote is used, and one that is not whole never is."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from jobs.spark import class_data
from jobs.spark.class_data import classes_kept, sharing_options

JAVA = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if "JAVA_HOME" in os.environ else "java"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(class_data, "_FOLDER", tmp_path / "a folder" / "kept")
    return tmp_path / "a folder" / "kept"


def java(*options: str) -> str:
    """Start a JVM that shows its version; return all that it says."""
    command = [JAVA, *shlex.split(" ".join(options)), "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_what_a_jvm_kept_is_used_by_the_next(folder: Path) -> None:
    assert sharing_options() == []
    with classes_kept():
        java(os.environ["SPARK_SUBMIT_OPTS"])
    (kept,) = folder.iterdir()
    assert kept.name == f"spark-{kept.stat().st_size}.jsa"
    assert "shared objects file (top)" in java(*sharing_options(), "-Xlog:class+load=info")


def test_a_file_that_is_not_whole_is_not_used(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "spark-5.jsa").write_bytes(b"1234")
    assert sharing_options() == []
    (folder / "spark-5.jsa").write_bytes(b"12345")
    assert any("spark-5.jsa" in option for option in sharing_options())


def test_a_file_of_another_java_is_passed_over_in_silence(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "spark-7.jsa").write_bytes(b"1234567")
    assert "warning" not in java(*sharing_options()).lower()


def test_no_place_to_write_is_no_error(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file, not a folder")
    before = os.environ.get("SPARK_SUBMIT_OPTS")
    with classes_kept():
        assert os.environ.get("SPARK_SUBMIT_OPTS") == before
    assert sharing_options() == []


def test_the_environment_is_restored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", "-Da=b")
    with classes_kept():
        assert os.environ["SPARK_SUBMIT_OPTS"].startswith("-Da=b ")
    assert os.environ["SPARK_SUBMIT_OPTS"] == "-Da=b"
    assert not [*folder.iterdir()]
