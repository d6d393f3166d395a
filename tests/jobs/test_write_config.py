"""`evenlake init` as a command, and every command where Spark is not installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.__main__ import main as evenlake
from jobs.config.examples import examples
from jobs.config.loading import load_config
from tests.install.environments import write_texts

REPOSITORY = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_texts(tmp_path / "texts.jsonl", 50)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_a_config_and_says_what_is_next(folder: Path, capsys: Capture) -> None:
    assert evenlake(["init", "texts.jsonl"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "evenlake.yaml: JSON lines, 50 rows"
    assert said[-1] == "next:  evenlake curate --config evenlake.yaml"
    assert load_config("evenlake.yaml").input.content == "text"


def test_init_replaces_no_file_unless_told_so(folder: Path, capsys: Capture) -> None:
    Path("mine.yaml").write_text("precious")
    command = ["init", "texts.jsonl", "--config", "mine.yaml"]
    assert evenlake(command) == 2
    assert capsys.readouterr().err == (
        "config: mine.yaml is there already; name another file with --config, or replace it with "
        "--force\n"
    )
    assert Path("mine.yaml").read_text() == "precious"
    assert evenlake([*command, "--force"]) == 0
    assert load_config("mine.yaml").input.table == "texts.jsonl"


def test_init_writes_examples(folder: Path, capsys: Capture) -> None:
    assert {"base", "quickstart", "text"} <= set(examples())
    assert evenlake(["init", "--example", "base"]) == 0
    assert Path("evenlake.yaml").read_bytes() == (REPOSITORY / "conf" / "base.yaml").read_bytes()
    assert evenlake(["init", "--example", "none"]) == 2
    assert f"no example 'none'; want one of {', '.join(examples())}" in capsys.readouterr().err
    assert evenlake(["init", "--text", "--images"]) == 2
    assert "--text --images: want one of them" in capsys.readouterr().err


WITHOUT_SPARK = """
import contextlib, io, json, sys
sys.modules["pyspark"] = None  # an import of it now fails as where it is not installed
from jobs.__main__ import main
said = {}
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line.split())
    said[line] = (code, out.getvalue(), err.getvalue())
print(json.dumps(said))
"""


def test_an_example_with_code_of_its_own_comes_with_it(folder: Path, capsys: Capture) -> None:
    assert evenlake(["init", "--example", "images-own-network"]) == 0
    assert (
        "the example images-own-network, and image_network.py beside it" in capsys.readouterr().out
    )
    assert "class Encoder" in (folder / "image_network.py").read_text()
    assert load_config(folder / "evenlake.yaml").embed.model == "python:image_network:Encoder"


def test_without_spark_there_is_help_and_a_first_config(folder: Path) -> None:
    lines = [
        "--version",
        "--help",
        "curate --help",
        "init texts.jsonl",
        "curate --config c",
        "embed",
    ]
    command = [sys.executable, "-c", WITHOUT_SPARK, json.dumps(lines)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(REPOSITORY)}, check=True
    )
    said = json.loads(done.stdout)
    assert said["--version"] == [0, "evenlake 0.1.0\n", ""]
    code, out, _ = said["--help"]
    assert code == 0
    assert all(word in out for word in ("init", "curate", "doctor", "--version"))
    code, out, _ = said["curate --help"]
    assert code == 0
    assert all(option in out for option in ("--config", "--full-refresh", "--if-running"))
    code, out, _ = said["init texts.jsonl"]
    assert code == 0
    assert "pip install 'evenlake[local]'" in out
    assert load_config(folder / "evenlake.yaml").input.content == "text"
    missing = "error: pyspark is not installed; pip install 'evenlake[local]'\n"
    assert said["curate --config c"] == said["embed"] == [1, "", missing]
